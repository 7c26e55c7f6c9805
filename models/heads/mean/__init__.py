"""Mean: the mean of the heatmaps of all frames; a control of JM-Pose without parameters."""
