"""The tuner `optuna` of pytest-soak: a study that is rebuilt from the history for every answer."""
