"""The folded engine: a sparse map on a few lanes, its weights a program."""
