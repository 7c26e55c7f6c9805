"""ViTPose's plain vision transformer (Xu et al., "ViTPose", NeurIPS 2022) as a source of tokens.

The network is ``VitPoseBackbone`` of transformers, which differs from an ordinary ViT in two ways
that matter to published weights: patches are cut with a padding of 2, and the position embedding
keeps a slot for a class token, added to every token.

Shapes: B images, N = H / 16 * W / 16 tokens in row-major order, D channels per token.
"""

from torch import Tensor, nn

from models.base.normalization import ImageNetNormalization
from models.vit.sizes import PATCH, SIZES


class ViTBackbone(nn.Module):
    """ViTPose's backbone: an image becomes a grid of tokens, normalized by the last LayerNorm.

    Args:
        embed_dim: Channels D per token.
        depth: Number of transformer blocks.
        num_heads: Attention heads per block.
        mlp_ratio: Width of a block's hidden layer, in units of D.
        input_size: (height, width) of the crops in pixels, multiples of 16.
    """

    def __init__(
        self,
        *,
        embed_dim: int,
        depth: int,
        num_heads: int,
        mlp_ratio: int,
        input_size: tuple[int, int],
    ) -> None:
        # Imported here: it takes many seconds, and a run that finds every unit builds no network.
        from transformers import VitPoseBackbone, VitPoseBackboneConfig  # noqa: PLC0415

        super().__init__()
        self.embed_dim = embed_dim
        self.grid = (input_size[0] // PATCH, input_size[1] // PATCH)
        self.normalize = ImageNetNormalization()
        self.backbone = VitPoseBackbone(
            VitPoseBackboneConfig(
                image_size=input_size,
                patch_size=(PATCH, PATCH),
                hidden_size=embed_dim,
                num_hidden_layers=depth,
                num_attention_heads=num_heads,
                mlp_ratio=mlp_ratio,
                # The last block alone: by default transformers returns it too, but says so nowhere.
                out_indices=[depth],
            )
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return the tokens of every crop.

        Args:
            images: RGB crops, ``(B, 3, H, W)``, float, in [0, 1].

        Returns:
            Tokens, ``(B, N, D)``, row by row.

        Raises:
            ValueError: If H or W is not what the network was built for.
        """
        tokens: Tensor = self.backbone(self.normalize(images)).feature_maps[-1]
        return tokens


def build_vit(variant: str, input_size: tuple[int, int]) -> ViTBackbone:
    """Build a ViTPose backbone with random weights, in evaluation mode.

    Args:
        variant: ``vit_small``, ``vit_base``, ``vit_large`` or ``vit_huge``, as published, or
            ``tiny``, which the embedded data set is made for.
        input_size: (height, width) of the crops in pixels; published weights have (256, 192).

    Raises:
        ValueError: If ``variant`` is none of these or a side is no multiple of 16.
    """
    if variant not in SIZES:
        raise ValueError(f"ViT variant: expected one of {sorted(SIZES)}, got {variant!r}")
    if input_size[0] % PATCH or input_size[1] % PATCH:
        raise ValueError(
            f"ViT input size (height, width): expected multiples of {PATCH}, got {input_size}; "
            "choose another crop.vit input size"
        )
    size = SIZES[variant]
    return ViTBackbone(
        embed_dim=size.embed_dim,
        depth=size.depth,
        num_heads=size.num_heads,
        mlp_ratio=size.mlp_ratio,
        input_size=input_size,
    ).eval()
