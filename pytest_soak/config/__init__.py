"""From options, packs, overrides and installed strategies to the plan of a soak."""
