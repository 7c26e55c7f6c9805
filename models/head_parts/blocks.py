"""Convolution blocks shared by the heads: convolution with norm, residual block, chain."""

import torch
from torch import Tensor, nn


def conv_norm(
    in_channels: int, out_channels: int, *, kernel_size: int = 3, activation: bool = True
) -> nn.Sequential:
    """Build a convolution that keeps height and width, batch norm and an optional ReLU.

    Args:
        in_channels: Input channels.
        out_channels: Output channels.
        kernel_size: Side of the kernel in cells, odd.
        activation: Whether ReLU follows the norm.

    Returns:
        ``(B, in_channels, H, W)`` -> ``(B, out_channels, H, W)``.
    """
    # No bias: the norm would subtract it.
    layers: list[nn.Module] = [
        nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=False),
        nn.BatchNorm2d(out_channels),
    ]
    if activation:
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with batch norm and a shortcut (the basic block of ResNet).

    The shortcut is a 1x1 convolution with norm if the width changes, otherwise the identity.

    Args:
        in_channels: Input channels.
        out_channels: Output channels.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.first = conv_norm(in_channels, out_channels)
        self.second = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(out_channels)
        self.shortcut: nn.Module = nn.Identity()
        if in_channels != out_channels:
            self.shortcut = conv_norm(in_channels, out_channels, kernel_size=1, activation=False)
        self.activation = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, in_channels, H, W)`` to ``(B, out_channels, H, W)``, not negative."""
        out: Tensor = self.activation(self.norm(self.second(self.first(x))) + self.shortcut(x))
        return out


def residual_chain(in_channels: int, out_channels: int, *, blocks: int) -> nn.Sequential:
    """Build ``blocks`` residual blocks in a row; the first one changes the width.

    Args:
        in_channels: Input channels.
        out_channels: Output channels.
        blocks: Number of residual blocks, at least 1.

    Returns:
        ``(B, in_channels, H, W)`` -> ``(B, out_channels, H, W)``.

    Raises:
        ValueError: If ``blocks`` is not positive.
    """
    if blocks < 1:
        raise ValueError(f"residual_chain needs at least 1 block, got blocks={blocks}")
    widths = [in_channels, *[out_channels] * blocks]
    return nn.Sequential(*map(ResidualBlock, widths[:-1], widths[1:]))


def initialize(network: nn.Module) -> None:
    """Initialize the weights of a head in place, so that it learns within few steps.

    Convolutions preserve the second moment of their input (Kaiming, ReLU), biases are zero, and a
    residual block starts as its shortcut: the scale of its last norm is zero. Deep chains then
    propagate features and gradients from the first step. The code that the authors of these heads
    build on uses a normal distribution with standard deviation 0.001 instead.

    Args:
        network: Head whose parameters are initialized.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for module in network.modules():
        if isinstance(module, ResidualBlock):
            nn.init.zeros_(module.norm.weight)


def init_identity_channels_(chain: nn.Sequential, start: int, channels: int) -> None:
    """Identity-initialize the shortcut of a chain that changes the width, in place.

    Outputs 0 to ``channels - 1`` become the inputs from ``start`` on, up to norm and ReLU, so that
    peaks keep their positions. The other outputs keep their random weights.

    Args:
        chain: From ``residual_chain``, after ``initialize``.
        start: First input channel that is passed on.
        channels: Number of these channels.
    """
    weight = chain.get_parameter("0.shortcut.0.weight")
    with torch.no_grad():
        weight[:channels] = 0
        weight[:channels, start : start + channels, 0, 0] = torch.eye(channels)


def heatmap_layer(channels: int, joints: int) -> nn.Conv2d:
    """Build the last 3x3 convolution of a head; its heatmaps start near zero.

    Nearly all cells of a target are zero. A head whose initial heatmaps are larger needs about a
    hundred steps to reduce them.

    Args:
        channels: Input channels.
        joints: Number of joints K.

    Returns:
        ``(B, channels, H, W)`` -> ``(B, K, H, W)``.
    """
    layer = nn.Conv2d(channels, joints, 3, padding=1)
    initialize(layer)
    nn.init.normal_(layer.weight, std=0.001)
    return layer


def residual_head(in_channels: int, joints: int, *, channels: int, blocks: int) -> nn.Sequential:
    """Build a convolution, a chain of residual blocks and the last layer of a head.

    Args:
        in_channels: Input channels.
        joints: Number of joints K.
        channels: Width of the residual blocks.
        blocks: Number of residual blocks, at least 1.

    Returns:
        ``(B, in_channels, H, W)`` -> ``(B, K, H, W)``.

    Raises:
        ValueError: If ``blocks`` is not positive.
    """
    body = (conv_norm(in_channels, channels), residual_chain(channels, channels, blocks=blocks))
    for part in body:
        initialize(part)
    return nn.Sequential(*body, heatmap_layer(channels, joints))
