"""Stores: Zarr v3 shards, written byte for byte as zarr-python does, and their reader."""
