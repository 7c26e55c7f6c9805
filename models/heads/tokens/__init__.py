"""Tokens of a vision transformer: their layout, their grid, and their way to heatmaps."""
