"""FuseViT: one convolution over the stacked tokens of all frames; a control of VREMD."""
