"""Guards: rules that may cut, hold or veto deltas. `config/builtin.py` has their order."""
