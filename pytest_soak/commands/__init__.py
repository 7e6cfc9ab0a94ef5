"""The subcommands of `pytest-soak`, one module each: pure functions with a thin shell."""
