"""Declaration of the system ``fuse_vit``."""

from models.head_parts.declaration import System, always

SYSTEM = System(
    title="a convolution on all frames' tokens",
    crops="vit",
    caches=always("tokens"),
    network="FuseViT",
)
