"""Declaration of the system ``tar``."""

from models.head_parts.declaration import System, always
from models.heads.tar.ablations import ABLATIONS

SYSTEM = System(
    title="TAR-ViTPose",
    crops="vit",
    caches=always("tokens"),
    network="TAR",
    objective="TARObjective",
    paper="TAR-ViTPose, CVPR 2026",
    baseline="vit",
    controls=("fuse_vit",),
    listed=False,
    ablations=ABLATIONS,
)
