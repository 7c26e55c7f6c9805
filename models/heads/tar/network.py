"""TAR-ViTPose, a head on the tokens of all frames (CVPR 2026).

Joint queries gather tokens of all frames where their joint is (masks from heatmaps of a shared
decoder); the key frame's tokens then read the queries (global restoration, GRA) and the same
decoder makes the heatmaps. Choices that are not the paper's are marked as ours.

Shapes: B clips, T frames with the key frame in the middle, N = rows x columns tokens per frame in
row-major order, D channels per token, K joints, h x w cells.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, cast, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.head_parts.argument_types import LayerWidths, NotNegative, Positive, PositiveFloat
from models.head_parts.decoder import HeatmapDecoder
from models.head_parts.token_layout import check_tokens, to_map
from models.heads.tar.joint_queries import (
    AttentionSum,
    FullSelfAttention,
    JointQueries,
    blocked_tokens,
    free_blocked_rows,
)
from models.heads.tar.token_order import TokenOrder, order_masks, order_tokens, restore_map

Aggregation = Literal["queries", "self_attention"]


class TAR(nn.Module):
    """TAR-ViTPose from the tokens of a clip to the heatmaps of its key frame.

    The rows of the ablation table are switches: ``aggregation``, ``mask``, ``restoration``.

    Args:
        joints: Number of joints K.
        frames: Frames T per clip, odd; the paper: 5.
        grid: (rows, columns) of the tokens of a frame.
        embed_dim: Channels D per token, also the width of the head.
        layers: Layers of the aggregation; the paper: 6.
        heads: Attention heads; the paper: 4.
        mlp_ratio: Hidden width of the feed-forward networks in units of D; the paper: 2.
        threshold: Tokens below it in the scaled heatmap of a joint are blocked; the paper: 0.2.
        token_order: ``"paper"``, or ``"released"``: what a token is in the published code, with
            which its weights were trained. See ``models.heads.tar.token_order``.
        decoder_channels: Channels of each transposed convolution.
        decoder_kernels: Kernel side of each transposed convolution, 2, 3 or 4.
        transformer_rate: Learning rate of all but the decoder, in units of ``lr``.
        aggregation: ``"queries"``, or ``"self_attention"`` of all tokens without queries, masks and
            GRA: the decoder reads the key frame's tokens after it.
        mask: Whether a joint attends only where its heatmaps are high.
        restoration: Whether GRA and the decoder make the heatmaps. If not, the heatmap of a joint
            is the product of its query with the key frame's tokens, resized bilinearly; the paper
            does not say how its row without GRA makes heatmaps.

    Raises:
        ValueError: If ``frames`` is even, or an argument is not one of its choices.
    """

    def __init__(
        self,
        *,
        joints: int,
        frames: int,
        grid: tuple[int, int],
        embed_dim: int,
        layers: Positive,
        heads: Positive,
        mlp_ratio: Positive,
        threshold: NotNegative,
        token_order: TokenOrder,
        decoder_channels: LayerWidths,
        decoder_kernels: LayerWidths,
        transformer_rate: PositiveFloat,
        aggregation: Aggregation = "queries",
        mask: bool = True,
        restoration: bool = True,
    ) -> None:
        super().__init__()
        if frames % 2 == 0:
            raise ValueError(f"TAR: expected an odd number of frames, got {frames}")
        _check_choice("token_order", token_order, get_args(TokenOrder))
        _check_choice("aggregation", aggregation, get_args(Aggregation))
        self.frames, self.grid, self.embed_dim = frames, grid, embed_dim
        self.threshold, self.token_order, self.mask = threshold, token_order, mask
        self.transformer_rate = transformer_rate
        self.heatmap_size = tuple(side * 2 ** len(decoder_kernels) for side in grid)
        sizes = {"layers": layers, "width": embed_dim, "heads": heads, "mlp_ratio": mlp_ratio}
        by_query = aggregation == "queries"
        self.queries = JointQueries(joints=joints, **sizes) if by_query else None
        self.self_attention = None if by_query else FullSelfAttention(**sizes)
        self.restore: AttentionSum | None = None
        if by_query and restoration:
            self.restore = AttentionSum(width=embed_dim, heads=heads)
            # Ours: the head starts as the decoder on the key frame's tokens.
            for parameter in self.restore.attention.project.parameters():
                nn.init.zeros_(parameter)
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
        gathered = self._gather(tokens)
        if self.draws_queries:
            return self._products(gathered, tokens)
        heatmaps: Tensor = self.decoder(restore_map(gathered, self.grid, self.token_order))
        return heatmaps

    def with_key_frame(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Return the heatmaps of the key frame, and those that the decoder makes of it alone.

        The decoder reads both as one batch, so that in training its norms see both.

        Args:
            tokens: As for ``forward``.

        Raises:
            ValueError: As for ``forward``.
        """
        check_tokens(tokens, frames=self.frames, grid=self.grid, embed_dim=self.embed_dim)
        gathered = self._gather(tokens)
        key_frame = to_map(tokens[:, self.frames // 2], self.grid)
        if self.draws_queries:
            return self._products(gathered, tokens), self.decoder(key_frame)
        restored = restore_map(gathered, self.grid, self.token_order)
        heatmaps, alone = self.decoder(torch.cat([restored, key_frame])).chunk(2)
        return heatmaps, alone

    def parameter_groups(self) -> list[tuple[float, list[nn.Parameter]]]:
        """Return groups of all parameters with their learning rate in units of ``lr``."""
        decoder = list(self.decoder.parameters())
        known = {id(parameter) for parameter in decoder}
        others = [each for each in self.parameters() if id(each) not in known]
        return [(1.0, decoder), (self.transformer_rate, others)]

    def parts(self) -> dict[str, tuple[nn.Module, Callable[[Any], Tensor]]]:
        """Return the parts that must differ from clip to clip.

        Returns:
            Name to a module and a function that returns the part, ``(B, ...)``, from the module's
            output.
        """
        return {"queries": (self.queries, lambda output: output)} if self.queries else {}

    @property
    def draws_queries(self) -> bool:
        """Whether the heatmaps are products of queries and tokens (no GRA)."""
        return self.queries is not None and self.restore is None

    def blocked(self, tokens: Tensor) -> Tensor:
        """Return which tokens of all frames each joint does not attend to, ``(B, K, T * N)``.

        The decoder makes the heatmaps of the masks with its running statistics and without
        gradient. A joint whose mask blocks every token attends to all of them.

        Args:
            tokens: As for ``forward``.
        """
        maps = to_map(tokens.flatten(0, 1), self.grid)
        with torch.no_grad(), _evaluation(self.decoder):
            heatmaps = torch.unflatten(self.decoder(maps), 0, tokens.shape[:2])
        masks = blocked_tokens(heatmaps, self.grid, self.threshold)
        return free_blocked_rows(order_masks(masks, self.token_order))

    def _gather(self, tokens: Tensor) -> Tensor:
        """Return the key frame's ordered tokens after the aggregation, or the queries without GRA.

        Returns:
            ``(B, N, D)``, or ``(B, K, D)``.
        """
        ordered = order_tokens(tokens, self.token_order)
        everything, middle = ordered.flatten(1, 2), self.frames // 2
        if self.self_attention is not None:
            attended = self.self_attention(everything)
            return torch.unflatten(attended, 1, ordered.shape[1:3])[:, middle]
        blocked = self.blocked(tokens) if self.mask else None
        queries: Tensor = cast("JointQueries", self.queries)(everything, blocked)
        return queries if self.restore is None else self.restore(ordered[:, middle], queries)

    def _products(self, queries: Tensor, tokens: Tensor) -> Tensor:
        """Return heatmaps of queries ``(B, K, D)``: their products with the key frame's tokens."""
        products = queries @ tokens[:, self.frames // 2].mT / math.sqrt(self.embed_dim)
        maps = torch.unflatten(products, 2, self.grid)
        return F.interpolate(maps, size=self.heatmap_size, mode="bilinear", align_corners=False)


@contextmanager
def _evaluation(network: nn.Module) -> Iterator[None]:
    """Put a network into evaluation mode for a while."""
    training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(training)


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"TAR: expected {name} among {', '.join(choices)}, got {value!r}")
