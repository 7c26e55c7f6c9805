"""What VREMD has to beat on the same tokens: one frame decoded, and all frames fused plainly.

``ViTDecoder`` is the baseline of VREMD's Table 4, a frozen ViT and a pose head. ``FuseViT`` is no
row of the paper: it tells what neighboring frames are worth without masks or attention.

Shapes: B clips, T frames with the key frame in the middle, N = rows x columns tokens in row-major
order, D channels per token, K joints.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from models.heads.blocks import conv_norm
from models.heads.tokens.decoder import HeatmapDecoder
from models.heads.tokens.layout import check_tokens, to_map


class ViTDecoder(nn.Module):
    """ViTPose's classic decoder on the key frame alone: the baseline of VREMD's Table 4.

    Args:
        joints: Number of joints K.
        frames: Frames T per clip, odd; only the middle one is read.
        grid: (rows, columns) of the tokens.
        embed_dim: Channels D per token.
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
        decoder_channels: Sequence[int],
        decoder_kernels: Sequence[int],
    ) -> None:
        super().__init__()
        self.frames = frames
        self.grid = grid
        self.embed_dim = embed_dim
        self.decoder = HeatmapDecoder(
            in_channels=embed_dim,
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
        heatmaps: Tensor = self.decoder(to_map(tokens[:, self.frames // 2], self.grid))
        return heatmaps


class FuseViT(nn.Module):
    """A 3x3 convolution over the stacked tokens of all frames, then ViTPose's classic decoder.

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
        width: int,
        decoder_channels: Sequence[int],
        decoder_kernels: Sequence[int],
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
