"""Weights files and devices of networks."""
