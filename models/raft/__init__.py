"""RAFT: the network and its use on the clips of a cache."""
