"""What a soak is to do: options, packs, overrides and installed strategies become a plan."""
