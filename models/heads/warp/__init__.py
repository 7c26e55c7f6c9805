"""Warp: Fuse on heatmaps that are moved to the key frame by the flow; a control of JM-Pose."""
