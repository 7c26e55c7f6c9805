"""Ablation tables of JM-Pose (MM 2024, on PoseTrack17's validation set), and sweeps.

The row TDMI of table 5 is another method and is not run.
"""

from models.head_parts.declaration import AblationRow


def _sweep(key: str, values: tuple[str, ...], *shared: str) -> tuple[AblationRow, ...]:
    return tuple(AblationRow(value, (f"train_jmpose.{key}={value}", *shared)) for value in values)


ABLATIONS: dict[str, tuple[AblationRow, ...]] = {
    "jmpose-5": (
        AblationRow("JM-Pose", (), 86.4),
        AblationRow(
            "JM-Pose*",
            (
                "train_jmpose.motion=features",
                "train_jmpose.aggregate=stacked",  # nothing to warp with
                "features.enabled=true",
            ),
            85.9,
        ),
        AblationRow("w/o CJL", ("train_jmpose.joint_learner=false",), 85.6),
        AblationRow("w/o JMML", ("train_jmpose.mutual_learning=false",), 84.6),
    ),
    "jmpose-6": (
        AblationRow("JM-Pose", (), 86.4),
        AblationRow("(a) w/o JMIB", ("train_jmpose.interaction=false",), 85.0),
        AblationRow("(b) w/o L_IO", ("train_jmpose.estimator=none",), 85.8),
    ),
    # Sweeps over values that the paper does not give; the first row is the default profile's value.
    "sweep-alpha": _sweep("alpha", ("0.0005", "0.0", "0.0001", "0.001", "0.01")),
    "sweep-layers": _sweep("layers", ("4", "1", "2", "3", "6")),
    # One extraction at the largest delta; the smaller delta reads a part of every clip.
    "sweep-delta": _sweep("delta", ("1", "2"), "crop.hrnet.delta=2"),
    # What Eq. 2 aggregates: stacked is the paper's, warped is ours.
    "sweep-aggregate": _sweep("aggregate", ("stacked", "warped")),
    "sweep-estimator": _sweep("estimator", ("vsd", "gaussian", "none")),
    "sweep-attention": _sweep("attention", ("channel", "spatial")),
}
