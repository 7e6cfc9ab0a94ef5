"""Tuners: strategies that propose deltas from the history."""
