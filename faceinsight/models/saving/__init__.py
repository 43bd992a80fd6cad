"""A model in a directory, and on the Hugging Face hub."""
