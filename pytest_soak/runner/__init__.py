"""pytest's side of a soak: its hooks, items and fixtures."""
