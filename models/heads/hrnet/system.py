"""Declaration of the system ``hrnet``."""

from models.head_parts.declaration import System, always

SYSTEM = System(
    title="HRNet on single frames",
    crops="hrnet",
    caches=always("heatmaps"),
    network="KeyFrame",
    trained=False,
    key_frame_only=True,
)
