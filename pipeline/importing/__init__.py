"""Import of weights, data sets and presets from other projects."""
