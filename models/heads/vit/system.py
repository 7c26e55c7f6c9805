"""Declaration of the system ``vit``."""

from models.head_parts.declaration import System, always

SYSTEM = System(
    title="ViT on single frames",
    crops="vit",
    caches=always("tokens"),
    network="ViTDecoder",
    key_frame_only=True,
)
