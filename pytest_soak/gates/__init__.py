"""Gates: strategies that judge iterations."""
