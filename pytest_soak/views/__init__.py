"""Views: they show decisions and verdicts, and make none."""
