"""HRNet: the initial heatmaps of the key frame, without a head."""
