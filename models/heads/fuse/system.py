"""Declaration of the system ``fuse``."""

from models.head_parts.declaration import System, always

SYSTEM = System(
    title="convolutions on all frames' heatmaps",
    crops="hrnet",
    caches=always("heatmaps"),
    network="Fuse",
)
