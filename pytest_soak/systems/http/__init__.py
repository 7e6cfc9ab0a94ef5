"""The system `http`: takes the metrics of a program over HTTP."""
