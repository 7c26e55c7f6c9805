"""The section ``target`` of params.yaml: params of the target heatmaps."""

from typing import Annotated, Literal

from pydantic import Field

from pipeline.core.params import Section

Cells = Annotated[float, Field(gt=0)]
Occluded = Literal["train", "ignore"]


class Sigma(Section):
    """Standard deviation of the target Gaussians by input, heatmap cells."""

    hrnet: Cells
    """3 on 96 x 72 cells (public code of JM-Pose; the same as HRNet at 384 x 288)."""
    vit: Cells
    """2 on 64 x 48 cells (ViTPose)."""

    def of(self, crops: str) -> float:
        """Return the value for crops of one input, ``hrnet`` or ``vit``."""
        return self.hrnet if crops == "hrnet" else self.vit


class Target(Section):
    """Params of the target heatmaps."""

    occluded: Occluded
    """Whether the loss uses or ignores occluded joints, which have coordinates."""
    sigma: Sigma
