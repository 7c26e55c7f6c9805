"""The papers' ablation tables as settings of params.yaml, with the papers' own numbers.

JM-Pose (MM 2024) tables 5 and 6, VREMD tables 4, 5 and 6, all on PoseTrack17's validation set; and
sweeps over what the papers leave open. TDMI's row of JM-Pose's table 5 is another method: not run.
"""

from dataclasses import dataclass

from pipeline.head_params.systems import SystemName


@dataclass(frozen=True, slots=True)
class AblationRow:
    """One row of a table."""

    name: str
    """The row as the paper names it."""
    settings: tuple[str, ...] = ()
    """What differs from the full method, ``section.key=value``."""
    paper_mean: float | None = None
    """Mean AP that the paper prints, percent."""
    system: SystemName | None = None
    """System that is measured where it is not the table's."""


@dataclass(frozen=True, slots=True)
class AblationTable:
    """A table; its first row is the full method, which the others are compared with."""

    system: SystemName
    rows: tuple[AblationRow, ...]


_NO_HUMAN, _NO_KEYPOINT = "train_vremd.human_mask=false", "train_vremd.keypoint_mask=false"
_JOINED = "train_vremd.separation=false"

TABLES: dict[str, AblationTable] = {
    "jmpose-5": AblationTable(
        "jmpose",
        (
            AblationRow("JM-Pose", (), 86.4),
            AblationRow(
                "JM-Pose*", ("train_jmpose.motion=features", "features.enabled=true"), 85.9
            ),
            AblationRow("w/o CJL", ("train_jmpose.joint_learner=false",), 85.6),
            AblationRow("w/o JMML", ("train_jmpose.mutual_learning=false",), 84.6),
        ),
    ),
    "jmpose-6": AblationTable(
        "jmpose",
        (
            AblationRow("JM-Pose", (), 86.4),
            AblationRow("(a) w/o JMIB", ("train_jmpose.interaction=false",), 85.0),
            AblationRow("(b) w/o L_IO", ("train_jmpose.estimator=none",), 85.8),
        ),
    ),
    "vremd-4": AblationTable(
        "vremd",
        (
            AblationRow("(c) VREMD", (), 87.6),
            AblationRow("baseline", (), 80.2, system="vit"),
            AblationRow("(a) HKME", ("train_vremd.bmd=false",), 85.3),
            AblationRow("(b) BMD", ("train_vremd.hkme=false",), 85.6),
        ),
    ),
    "vremd-5": AblationTable(
        "vremd",
        (
            AblationRow("(d) both masks", (), 87.6),
            AblationRow("(a) no mask", (_NO_HUMAN, _NO_KEYPOINT), 85.9),
            AblationRow("(b) human mask", (_NO_KEYPOINT,), 86.5),
            AblationRow("(c) keypoint mask", (_NO_HUMAN,), 86.8),
        ),
    ),
    "vremd-6": AblationTable(
        "vremd",
        (
            AblationRow("(d) DCA + BS", (), 87.6),
            AblationRow("(a) DC", ("train_vremd.sampler=deformable_convolution", _JOINED), 84.7),
            AblationRow("(b) DA", ("train_vremd.sampler=deformable_attention", _JOINED), 85.8),
            AblationRow("(c) DCA", (_JOINED,), 87.1),
        ),
    ),
}
"""The papers' tables by name: head and number."""

_FIVE_FRAMES = "crop.hrnet.delta=2"


def _sweep(key: str, values: tuple[str, ...], *shared: str) -> AblationTable:
    rows = (AblationRow(value, (f"train_jmpose.{key}={value}", *shared)) for value in values)
    return AblationTable("jmpose", tuple(rows))


SWEEPS: dict[str, AblationTable] = {
    "sweep-alpha": _sweep("alpha", ("0.0001", "0.0", "0.00001", "0.001", "0.01")),
    "sweep-layers": _sweep("layers", ("4", "1", "2", "3", "6")),
    # One extraction at the largest delta; the smaller one reads a part of every clip.
    "sweep-delta": _sweep("delta", ("1", "2"), _FIVE_FRAMES),
    "sweep-estimator": _sweep("estimator", ("vsd", "gaussian", "none")),
    "sweep-attention": _sweep("attention", ("channel", "spatial")),
}
"""Sweeps over what JM-Pose's paper leaves open; the first row is the default profile's value."""
