"""Declaration of the system ``warp``."""

from models.head_parts.declaration import System, always

SYSTEM = System(
    title="convolutions on all frames' heatmaps, moved to the key frame by the flow",
    crops="hrnet",
    caches=always("heatmaps", "flow"),
    network="Warp",
)
