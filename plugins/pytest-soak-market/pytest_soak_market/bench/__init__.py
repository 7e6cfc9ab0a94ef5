"""Does tuning work? Tuners over many market regimes, beside no tuning, chance and an oracle."""
