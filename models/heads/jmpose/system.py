"""Declaration of the system ``jmpose``."""

from models.head_parts.declaration import System
from models.heads.jmpose.ablations import ABLATIONS

SYSTEM = System(
    title="JM-Pose",
    crops="hrnet",
    caches=lambda section: ("heatmaps", section["motion"]),
    network="JMPose",
    objective="JMPoseObjective",
    paper="Wu et al., Joint-Motion Mutual Learning, MM 2024",
    baseline="hrnet",
    controls=("mean", "refine", "fuse", "warp"),
    ablations=ABLATIONS,
)
