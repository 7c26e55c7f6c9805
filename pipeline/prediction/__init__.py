"""Prediction of the people of a split from its caches, in units."""
