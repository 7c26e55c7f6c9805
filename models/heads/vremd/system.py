"""Declaration of the system ``vremd``."""

from models.heads.vremd.ablations import ABLATIONS
from models.systems.declaration import System, always

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
