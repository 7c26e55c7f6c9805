"""Scores of predictions and what made them."""
