"""ViTPose's vision transformer backbone (Xu et al., "ViTPose", NeurIPS 2022).

The network is ``VitPoseBackbone`` of transformers. It differs from a standard ViT in two ways that
matter for published weights: the patch embedding pads its input by 2 pixels, and the position
embedding has a slot for a class token, which is added to every token.

Shapes: B images, N = H / 16 * W / 16 tokens in row-major order, D channels per token.
"""

from collections.abc import Mapping

from torch import Tensor, nn

from models.base.normalization import ImageNetNormalization
from models.base.weights import load_weights
from models.vit.sizes import PATCH, SIZES

LAYER_NORM_EPSILON = "layer_norm_epsilon"
"""Name of an optional scalar in a weights file: what all LayerNorms add to the variance."""
_EPSILON = 1e-12
"""Epsilon of files without this scalar; the value of transformers."""


class ViTBackbone(nn.Module):
    """ViTPose's backbone: turns an image into a grid of tokens, after the last LayerNorm.

    Args:
        embed_dim: Channels D per token.
        depth: Number of transformer blocks.
        num_heads: Number of attention heads per block.
        mlp_ratio: Hidden width of a block's MLP, as a multiple of D.
        input_size: (height, width) of the crops in pixels, multiples of 16.
        epsilon: What the LayerNorms add to the variance.
    """

    def __init__(
        self,
        *,
        embed_dim: int,
        depth: int,
        num_heads: int,
        mlp_ratio: int,
        input_size: tuple[int, int],
        epsilon: float = _EPSILON,
    ) -> None:
        # Imported here because it takes many seconds, and a run with complete caches builds no
        # network.
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
                layer_norm_eps=epsilon,
                # The last block is also the default of transformers, but undocumented.
                out_indices=[depth],
            )
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return the tokens of every crop.

        Args:
            images: RGB crops, ``(B, 3, H, W)``, float, in [0, 1].

        Returns:
            Tokens, ``(B, N, D)``, in row-major order.

        Raises:
            ValueError: If (H, W) differs from ``input_size``.
        """
        tokens: Tensor = self.backbone(self.normalize(images)).feature_maps[-1]
        return tokens


def build_vit(variant: str, input_size: tuple[int, int], epsilon: float = _EPSILON) -> ViTBackbone:
    """Build a ViTPose backbone with random weights, in evaluation mode.

    Args:
        variant: ``vit_small``, ``vit_base``, ``vit_large`` or ``vit_huge``, the published sizes,
            or ``tiny``, a small network for the embedded data set.
        input_size: (height, width) of the crops in pixels; (256, 192) for published weights.
        epsilon: What the LayerNorms add to the variance.

    Raises:
        ValueError: If ``variant`` is unknown or a side is not a multiple of 16.
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
        epsilon=epsilon,
    ).eval()


def load_vit(
    weights: Mapping[str, Tensor], source: str, input_size: tuple[int, int], variant: str
) -> ViTBackbone:
    """Build a ViTPose backbone with the weights and the LayerNorm epsilon of a file.

    Args:
        weights: Tensors of all parameters by name and, optionally, ``LAYER_NORM_EPSILON``.
        source: Name of the weights in error messages.
        input_size: (height, width) of the crops in pixels.
        variant: As in ``build_vit``.

    Raises:
        ValueError: If the weights or the input size do not fit.
    """
    parameters = dict(weights)
    scalar = parameters.pop(LAYER_NORM_EPSILON, None)
    epsilon = _EPSILON if scalar is None else float(scalar)
    network = build_vit(variant, input_size, epsilon)
    load_weights(network, parameters, source)
    return network
