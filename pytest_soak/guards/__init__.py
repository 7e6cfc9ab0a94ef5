"""Guards: rules that may cut, hold or veto deltas. Their order is in `config/builtin.py`."""
