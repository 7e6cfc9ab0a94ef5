"""The market-maker pack of pytest-soak, its metric functions, and a market to soak a bot in."""
