"""The system `command`: runs any program and ends all of its processes."""
