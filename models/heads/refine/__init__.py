"""Refine: convolutions on the heatmaps of the key frame only; a control of JM-Pose."""
