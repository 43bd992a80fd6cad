"""Trunks of vision networks, face parsers and face regions."""
