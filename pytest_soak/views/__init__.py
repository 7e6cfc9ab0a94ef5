"""Views: they read what was decided, and never decide."""
