"""Training of networks on cached tensors: batches, the loop, checkpoints, published runs."""
