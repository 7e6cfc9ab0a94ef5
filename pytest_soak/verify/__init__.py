"""What `verify` checks. Pure: from records and bytes to findings."""
