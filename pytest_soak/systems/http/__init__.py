"""The system `http`: a program that is measured over HTTP."""
