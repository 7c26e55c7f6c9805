"""Refine: convolutions on the heatmaps of the key frame alone; a control of JM-Pose."""
