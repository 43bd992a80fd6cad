"""Ways to measure a model, each with its own questions."""
