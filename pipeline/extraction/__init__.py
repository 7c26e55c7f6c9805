"""Frozen networks over the crops of every clip."""
