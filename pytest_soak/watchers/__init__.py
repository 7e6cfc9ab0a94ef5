"""Watchers: strategies that derive facts from a report."""
