"""Pure values and rules: nothing here knows a file, a clock or pytest."""
