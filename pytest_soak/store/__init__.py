"""The store: the journal, the overrides, and everything that is rebuilt from them."""
