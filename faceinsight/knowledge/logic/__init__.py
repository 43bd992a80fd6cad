"""The rule language, its formulas, and what follows from them."""
