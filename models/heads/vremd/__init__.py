"""VREMD, focused human and joint regions."""
