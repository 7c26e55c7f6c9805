"""Checking, repairing and cleaning caches and installations."""
