"""Section ``train_vremd``: VREMD's network and its training run."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from pipeline.base.params import read_section
from pipeline.head_params.network import Layers, Network, Positive, System, Weights, arguments_of
from pipeline.schedule import Training


class VREMDNetwork(Network):
    """Params of the network; see ``models.heads.vremd.network.VREMD``."""

    width: Positive
    heads: Positive
    mlp_ratio: Positive
    human_depth: Positive
    keypoint_depth: Positive
    spatial_depth: Positive
    temporal_depth: Positive
    motion_depth: Positive
    motion_heads: Positive
    points: Positive
    offset_range: Annotated[float, Field(gt=0)]
    decoder_channels: Layers
    decoder_kernels: Layers
    hkme: bool
    bmd: bool
    human_mask: bool
    keypoint_mask: bool
    sampler: Literal["deformable_cross_attention", "deformable_attention", "deformable_convolution"]
    separation: bool


class TrainVREMD(Training, VREMDNetwork):
    """The section."""

    weights: Weights


def read_vremd(params: Path) -> TrainVREMD:
    """Read the section.

    Raises:
        ValueError: If it is malformed.
    """
    return read_section(params, "train_vremd", TrainVREMD)


def vremd_system(section: TrainVREMD) -> System:
    """Return the system that a section describes."""
    return System(
        name="vremd",
        crops="vit",
        kinds=("tokens",),
        frames=2 * section.delta + 1,
        arguments=arguments_of(section, VREMDNetwork),
    )
