"""Declaration of the system ``refine``."""

from models.head_parts.declaration import System, always

SYSTEM = System(
    title="convolutions on the key frame's heatmaps",
    crops="hrnet",
    caches=always("heatmaps"),
    network="Refine",
    key_frame_only=True,
)
