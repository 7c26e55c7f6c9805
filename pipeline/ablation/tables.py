"""The papers' ablation tables as settings of params.yaml, with the numbers that the papers print.

Tables 5 and 6 of JM-Pose (MM 2024) and tables 4, 5 and 6 of VREMD, all on the validation set of
PoseTrack17, and sweeps over choices that the papers leave open. The row TDMI of JM-Pose's table 5
is left out, because TDMI is a different method.
"""

from dataclasses import dataclass

from pipeline.head_params.systems import SystemName


@dataclass(frozen=True, slots=True)
class AblationRow:
    """One row of a table."""

    name: str
    """Name of the row in the paper."""
    settings: tuple[str, ...] = ()
    """Difference from the full method, ``section.key=value`` each."""
    paper_mean: float | None = None
    """Mean AP in the paper, percent."""
    system: SystemName | None = None
    """System to evaluate, if it is not the table's system."""


@dataclass(frozen=True, slots=True)
class AblationTable:
    """A table; its first row is the full method, the reference of the other rows."""

    system: SystemName
    rows: tuple[AblationRow, ...]


_NO_HUMAN, _NO_KEYPOINT = "train_vremd.human_mask=false", "train_vremd.keypoint_mask=false"
_COUPLED = "train_vremd.separation=false"

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
            AblationRow("(a) DC", ("train_vremd.sampler=deformable_convolution", _COUPLED), 84.7),
            AblationRow("(b) DA", ("train_vremd.sampler=deformable_attention", _COUPLED), 85.8),
            AblationRow("(c) DCA", (_COUPLED,), 87.1),
        ),
    ),
}
"""The papers' tables by name: head and table number."""

_FIVE_FRAMES = "crop.hrnet.delta=2"


def _sweep(key: str, values: tuple[str, ...], *shared: str) -> AblationTable:
    rows = (AblationRow(value, (f"train_jmpose.{key}={value}", *shared)) for value in values)
    return AblationTable("jmpose", tuple(rows))


SWEEPS: dict[str, AblationTable] = {
    "sweep-alpha": _sweep("alpha", ("0.0001", "0.0", "0.00001", "0.001", "0.01")),
    "sweep-layers": _sweep("layers", ("4", "1", "2", "3", "6")),
    # Both rows share one extraction at delta 2; delta 1 reads the middle frames of every clip.
    "sweep-delta": _sweep("delta", ("1", "2"), _FIVE_FRAMES),
    "sweep-estimator": _sweep("estimator", ("vsd", "gaussian", "none")),
    "sweep-attention": _sweep("attention", ("channel", "spatial")),
}
"""Sweeps over choices that JM-Pose's paper leaves open; the first row is params.yaml's value."""
