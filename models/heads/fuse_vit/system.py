"""Declaration of the system ``fuse_vit``."""

from models.systems.declaration import System, always

SYSTEM = System(
    title="a convolution on all frames' tokens",
    crops="vit",
    caches=always("tokens"),
    network="FuseViT",
)
