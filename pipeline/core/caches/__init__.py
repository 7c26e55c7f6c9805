"""Readers of the cached tensors of clips and of the clip tables."""
