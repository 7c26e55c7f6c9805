"""Ablation table of TAR-ViTPose (ViT-B, PoseTrack17's validation set).

The rows "cross-attention" and "Poseidon-style" are other methods and are not run.
"""

from models.head_parts.declaration import AblationRow

ABLATIONS: dict[str, tuple[AblationRow, ...]] = {
    "tar-1": (
        AblationRow("full", (), 84.0),
        AblationRow("single frame", (), 81.7, system="vit"),
        AblationRow("full self-attention", ("train_tar.aggregation=self_attention",), 82.2),
        AblationRow("no mask", ("train_tar.mask=false",), 82.6),
        AblationRow("no GRA", ("train_tar.restoration=false",), 70.3),
    ),
}
