"""ViTPose's backbone: the network, its sizes, and its use on the clips of a cache."""
