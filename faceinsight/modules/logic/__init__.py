"""Exact sums over the faces that rules allow, and the fuzzy losses beside them."""
