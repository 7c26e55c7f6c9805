"""HRNet: the network, its use on the clips of a cache, and its training."""
