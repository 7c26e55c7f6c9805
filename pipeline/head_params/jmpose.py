"""Section ``train_jmpose``: JM-Pose's network, its loss and its training run."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from pipeline.base.params import read_section
from pipeline.head_params.network import Network, Positive, System, Weights, arguments_of
from pipeline.schedule import Training


class JMPoseNetwork(Network):
    """Params of the network; see ``models.heads.jmpose.network.JMPose``."""

    channels: Positive
    layers: Positive
    offset_groups: Positive
    dilation: Positive
    attention: Literal["channel", "spatial"]
    attention_heads: Positive
    jmib_mask: Literal["fused", "literal"]
    motion: Literal["flow", "features"]
    joint_learner: bool
    mutual_learning: bool
    interaction: bool


class TrainJMPose(Training, JMPoseNetwork):
    """The section."""

    estimator: Literal["vsd", "gaussian", "none"]
    """How L_IO (Eqs. 12-13) is estimated."""
    alpha: Annotated[float, Field(ge=0)]
    """Weight of L_IO (Eq. 16)."""
    weights: Weights


def read_jmpose(params: Path) -> TrainJMPose:
    """Read the section.

    Raises:
        ValueError: If it is malformed.
    """
    return read_section(params, "train_jmpose", TrainJMPose)


def jmpose_system(section: TrainJMPose) -> System:
    """Return the system that a section describes."""
    return System(
        name="jmpose",
        crops="hrnet",
        kinds=("heatmaps", section.motion),
        frames=2 * section.delta + 1,
        arguments=arguments_of(section, JMPoseNetwork),
    )
