"""HRNet itself: the initial heatmaps of the key frame, without a head."""
