"""The cached tensors of clips, read together, and which clip is where in them."""
