"""ViT with a pose decoder on the key frame alone; the baseline of VREMD."""
