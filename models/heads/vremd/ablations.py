"""Ablation tables of VREMD's paper, on PoseTrack17's validation set."""

from models.head_parts.declaration import AblationRow

_NO_HUMAN, _NO_KEYPOINT = "train_vremd.human_mask=false", "train_vremd.keypoint_mask=false"
_JOINED = "train_vremd.separation=false"

ABLATIONS: dict[str, tuple[AblationRow, ...]] = {
    "vremd-4": (
        AblationRow("(c) VREMD", (), 87.6),
        AblationRow("baseline", (), 80.2, system="vit"),
        AblationRow("(a) HKME", ("train_vremd.bmd=false",), 85.3),
        AblationRow("(b) BMD", ("train_vremd.hkme=false",), 85.6),
    ),
    "vremd-5": (
        AblationRow("(d) both masks", (), 87.6),
        AblationRow("(a) no mask", (_NO_HUMAN, _NO_KEYPOINT), 85.9),
        AblationRow("(b) human mask", (_NO_KEYPOINT,), 86.5),
        AblationRow("(c) keypoint mask", (_NO_HUMAN,), 86.8),
    ),
    "vremd-6": (
        AblationRow("(d) DCA + BS", (), 87.6),
        AblationRow("(a) DC", ("train_vremd.sampler=deformable_convolution", _JOINED), 84.7),
        AblationRow("(b) DA", ("train_vremd.sampler=deformable_attention", _JOINED), 85.8),
        AblationRow("(c) DCA", (_JOINED,), 87.1),
    ),
}
