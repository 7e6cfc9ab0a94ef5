"""Packs: reading a domain's data, and the neutral demo pack."""
