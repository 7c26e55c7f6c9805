"""Section ``train_control``: the networks that the heads have to beat, and their training runs."""

from pathlib import Path
from typing import Literal

from pipeline.base.params import Section, read_section
from pipeline.head_params.network import Layers, Network, Positive, System, Weights, arguments_of
from pipeline.schedule import Training

ControlName = Literal["refine", "fuse", "vit", "fuse_vit"]


class MapNetwork(Network):
    """Params of the networks on heatmaps; see ``models.heads.controls.heatmap_controls``."""

    channels: Positive
    blocks: Positive


class TokenNetwork(Network):
    """Params of the networks on tokens; see ``models.heads.controls.vit_controls``."""

    width: Positive
    """Channels of the fused map of ``fuse_vit``; ``vit`` has none."""
    decoder_channels: Layers
    decoder_kernels: Layers


class MapControl(Training, MapNetwork):
    """Training run of ``refine`` and ``fuse``."""


class TokenControl(Training, TokenNetwork):
    """Training run of ``vit`` and ``fuse_vit``."""


class TrainControl(Section):
    """The section."""

    maps: MapControl
    """What ``refine`` and ``fuse`` do; JM-Pose's clips, steps and batches."""
    tokens: TokenControl
    """What ``vit`` and ``fuse_vit`` do; VREMD's clips, steps and batches."""
    weights: Weights

    def of(self, name: ControlName) -> MapControl | TokenControl:
        """Return the training run of a control."""
        return self.maps if name in {"refine", "fuse"} else self.tokens


def read_control(params: Path) -> TrainControl:
    """Read the section.

    Raises:
        ValueError: If it is malformed.
    """
    return read_section(params, "train_control", TrainControl)


def control_system(section: TrainControl, name: ControlName) -> System:
    """Return one of the systems that a section describes.

    ``refine`` and ``vit`` read the key frame alone, whatever ``delta`` says.
    """
    alone = name in {"refine", "vit"}
    if name in {"refine", "fuse"}:
        maps = section.maps
        frames = 1 if alone else 2 * maps.delta + 1
        return System(name, "hrnet", ("heatmaps",), frames, arguments_of(maps, MapNetwork))
    tokens = section.tokens
    frames = 1 if alone else 2 * tokens.delta + 1
    left_out = ("width",) if name == "vit" else ()
    return System(name, "vit", ("tokens",), frames, arguments_of(tokens, TokenNetwork, *left_out))
