"""ViT with a pose decoder on the key frame only; the baseline of VREMD."""
