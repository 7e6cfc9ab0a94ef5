"""The market maker as a process, over a real WebSocket, in wall-clock time."""
