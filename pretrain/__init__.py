"""Training of the weights that ship in data/weights/synthetic; a DVC repository of its own."""
