"""Systems: what is soaked."""
