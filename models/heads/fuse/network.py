"""Fuse: residual blocks on the heatmaps of all frames; not from a paper.

Its gain over ``Refine`` shows the value of several frames without flow.
"""

from models.head_parts.stacked_heatmaps import StackedHeatmaps


class Fuse(StackedHeatmaps):
    """Residual blocks on the stacked initial heatmaps of all frames, without flow."""
