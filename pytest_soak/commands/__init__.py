"""The commands of `pytest-soak`, one a module: a pure part, and a thin shell around it."""
