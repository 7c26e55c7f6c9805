"""Stores: Zarr v3 shards, byte-identical to those of zarr-python, and their reader."""
