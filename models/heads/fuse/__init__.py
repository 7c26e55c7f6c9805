"""Fuse: convolutions on the stacked heatmaps of all frames; a control of JM-Pose."""
