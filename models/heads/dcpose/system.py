"""Declaration of the system ``dcpose``."""

from models.head_parts.declaration import System, always

SYSTEM = System(
    title="DCPose",
    crops="hrnet",
    caches=always("heatmaps"),
    network="DCPose",
    paper="Liu et al., Deep Dual Consecutive Network for Human Pose Estimation, CVPR 2021",
    baseline="hrnet",
    controls=("mean", "refine", "fuse"),
    listed=False,
)
