"""One folder per system: its declaration, its network, its loss and its ablation tables."""
