"""Encoders of face photographs that are not timm's."""
