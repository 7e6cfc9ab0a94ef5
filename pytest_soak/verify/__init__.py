"""The checks of `pytest-soak verify`: pure functions from records and bytes to findings."""
