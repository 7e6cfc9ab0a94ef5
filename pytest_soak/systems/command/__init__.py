"""The system `command`: any program, and what is done with its processes."""
