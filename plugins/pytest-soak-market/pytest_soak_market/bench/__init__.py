"""Benchmark of tuners over many market regimes, against no tuning, random search and an oracle."""
