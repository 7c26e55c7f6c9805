"""Declaration of the system ``mean``."""

from models.head_parts.declaration import System, always

SYSTEM = System(
    title="the mean of all frames' heatmaps",
    crops="hrnet",
    caches=always("heatmaps"),
    network="Mean",
    trained=False,
)
