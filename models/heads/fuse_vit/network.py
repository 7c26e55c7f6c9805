"""FuseViT: all frames fused by one convolution; not from a paper.

It measures the gain from neighboring frames without masks or attention.

Shapes: B clips, T frames with the key frame in the middle, N = rows x columns tokens in row-major
order, D channels per token, K joints.
"""

from torch import Tensor, nn

from models.head_parts.argument_types import LayerWidths, Positive
from models.head_parts.blocks import conv_norm
from models.head_parts.decoder import HeatmapDecoder
from models.head_parts.token_layout import check_tokens, to_map


class FuseViT(nn.Module):
    """A 3x3 convolution over the stacked tokens of all frames, then the classic decoder of ViTPose.

    Args:
        joints: Number of joints K.
        frames: Frames T per clip.
        grid: (rows, columns) of the tokens.
        embed_dim: Channels D per token.
        width: Channels of the fused map.
        decoder_channels: Channels of each transposed convolution.
        decoder_kernels: Kernel side of each transposed convolution, 2, 3 or 4.
    """

    def __init__(
        self,
        *,
        joints: int,
        frames: int,
        grid: tuple[int, int],
        embed_dim: int,
        width: Positive,
        decoder_channels: LayerWidths,
        decoder_kernels: LayerWidths,
    ) -> None:
        super().__init__()
        self.frames = frames
        self.grid = grid
        self.embed_dim = embed_dim
        self.fuse = conv_norm(frames * embed_dim, width)
        self.decoder = HeatmapDecoder(
            in_channels=width,
            channels=decoder_channels,
            kernels=decoder_kernels,
            joints=joints,
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the heatmaps of the key frame.

        Args:
            tokens: Backbone tokens of all frames, ``(B, T, N, D)``.

        Returns:
            Heatmaps, ``(B, K, rows * 2 ** layers, columns * 2 ** layers)``.

        Raises:
            ValueError: If T, N or D is not what the head was built for.
        """
        check_tokens(tokens, frames=self.frames, grid=self.grid, embed_dim=self.embed_dim)
        stacked = to_map(tokens.transpose(1, 2).flatten(2), self.grid)
        heatmaps: Tensor = self.decoder(self.fuse(stacked))
        return heatmaps
