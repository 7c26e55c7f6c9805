"""Parts of Warp that ``posereel liveness`` replaces."""

from torch import nn

from models.head_parts.replaced_parts import (
    Input,
    Part,
    another_clips,
    key_frames,
    supporting,
    zero,
)


def declare_parts(_head: nn.Module) -> list[Part]:
    """Return the flow and the heatmaps of the supporting frames."""
    maps = Input("heatmaps", key_frames, read=supporting)
    return [
        Part("flow := 0", (Input("flow", zero),)),
        Part("flow of another clip", (Input("flow", another_clips),)),
        Part("supporting heatmaps := the key frame's", (maps,)),
    ]
