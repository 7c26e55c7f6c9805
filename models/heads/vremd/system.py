"""Declaration of the system ``vremd``."""

from models.head_parts.declaration import System, always
from models.heads.vremd.ablations import ABLATIONS

SYSTEM = System(
    title="VREMD",
    crops="vit",
    caches=always("tokens"),
    network="VREMD",
    paper="Jiao et al., Optimizing Human Pose Estimation Through Focused Human and Joint Regions",
    objective="VREMDObjective",
    baseline="vit",
    controls=("fuse_vit",),
    ablations=ABLATIONS,
)
