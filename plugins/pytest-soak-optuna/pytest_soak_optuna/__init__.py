"""The tuner `optuna` for pytest-soak."""
