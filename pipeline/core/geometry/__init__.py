"""Boxes and affine transforms."""
