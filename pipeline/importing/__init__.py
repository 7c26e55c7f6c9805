"""Weights, data sets and presets of other projects and users."""
