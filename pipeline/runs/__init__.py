"""Training runs of heads and backbones."""
