"""Declaration of the system ``fami``."""

from models.head_parts.declaration import System, always

SYSTEM = System(
    title="FAMI-Pose",
    crops="hrnet",
    caches=always("features"),
    network="FAMI",
    objective="FAMIObjective",
    paper="Liu et al., Temporal Feature Alignment and Mutual Information Maximization, CVPR 2022",
    baseline="hrnet",
    controls=("mean", "refine", "fuse"),
    listed=False,
)
