"""Convolution blocks that the heads share: convolution with norm, residual block, chain."""

import torch
from torch import Tensor, nn


def conv_norm(
    in_channels: int, out_channels: int, *, kernel_size: int = 3, activation: bool = True
) -> nn.Sequential:
    """Build a convolution that keeps height and width, batch norm and, if asked, ReLU.

    Args:
        in_channels: Channels that come in.
        out_channels: Channels that go out.
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
    """Two 3x3 convolutions with batch norm beside a shortcut (ResNet's basic block).

    The shortcut is a 1x1 convolution with norm where the width changes, else the input itself.

    Args:
        in_channels: Channels that come in.
        out_channels: Channels that go out.
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
        in_channels: Channels that come in.
        out_channels: Channels that go out.
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
    """Draw the first weights of a head in place, so that it learns within few steps.

    Convolutions keep the second moment of what they read (Kaiming, ReLU), biases are zero, and a
    residual block begins as its shortcut: the scale of its last norm is zero. Deep chains then
    pass features and gradients on from the first step. The code that these heads' authors build
    on draws from a normal distribution of standard deviation 0.001 instead.

    Args:
        network: Head whose parameters are drawn.
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

    Outputs 0 to ``channels - 1`` become the inputs from ``start`` on, but for norm and ReLU: peaks
    stay where they are. The other outputs keep their random mixtures.

    Args:
        chain: From ``residual_chain``, after ``initialize``.
        start: First input channel that is passed on.
        channels: How many are.
    """
    weight = chain.get_parameter("0.shortcut.0.weight")
    with torch.no_grad():
        weight[:channels] = 0
        weight[:channels, start : start + channels, 0, 0] = torch.eye(channels)


def heatmap_layer(channels: int, joints: int) -> nn.Conv2d:
    """Build the 3x3 convolution that ends a head; its heatmaps begin near zero.

    Nearly all cells of a target are zero. A head that begins with heatmaps of another scale spends
    its first hundred steps on unlearning them.

    Args:
        channels: Channels that come in.
        joints: Number of joints K.

    Returns:
        ``(B, channels, H, W)`` -> ``(B, K, H, W)``.
    """
    layer = nn.Conv2d(channels, joints, 3, padding=1)
    initialize(layer)
    nn.init.normal_(layer.weight, std=0.001)
    return layer


def residual_head(in_channels: int, joints: int, *, channels: int, blocks: int) -> nn.Sequential:
    """Build a convolution, a chain of residual blocks and the layer that ends a head.

    Args:
        in_channels: Channels that come in.
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
