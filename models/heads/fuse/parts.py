"""Parts of Fuse that ``posereel liveness`` replaces."""

from torch import nn

from models.head_parts.replaced_parts import Input, Part, key_frames, supporting


def declare_parts(_head: nn.Module) -> list[Part]:
    """Return the only part, the heatmaps of the supporting frames."""
    place = Input("heatmaps", key_frames, read=supporting)
    return [Part("supporting heatmaps := the key frame's", (place,))]
