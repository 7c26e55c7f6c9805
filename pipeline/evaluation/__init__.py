"""Scores of predictions and their provenance."""
