"""Source code of a new head: declaration, a small network and its test."""

from collections.abc import Sequence
from string import Template

from models.head_parts.declaration import System

SHAPES = {
    "heatmaps": ("frames * joints", "Initial heatmaps, ``(B, T, K, H, W)``."),
    "flow": (
        "(frames - 1) * 2",
        "Flow between consecutive frames, ``(B, T - 1, 2, H, W)``: (dx, dy) in cells.",
    ),
    "features": (
        "frames * feature_channels",
        "Features of the backbone, ``(B, T, feature_channels, H, W)``.",
    ),
}
"""Channels of a cache as the head stacks it, and its description, by kind."""
EXAMPLES = {
    "heatmaps": "torch.rand(2, 3, 4, 8, 6)",
    "flow": "torch.rand(2, 2, 2, 8, 6)",
    "features": "torch.rand(2, 3, 5, 8, 6)",
}
CHANNELS = 32

_SYSTEM = Template('''"""Declaration of the system ``$name``."""

from models.head_parts.declaration import System, always

SYSTEM = System(
    title="$title",
    crops="$crops",
    caches=always($caches),
    network="$network",
    baseline="$baseline",
    controls=$controls,
)
''')
_MAPS = Template('''"""$Name: two convolutions on $inputs of all frames.

Shapes: B clips, T frames with the key frame in the middle, K joints, H x W cells.
"""

import torch
from torch import Tensor, nn

from models.head_parts.argument_types import Positive
from models.head_parts.blocks import conv_norm, heatmap_layer, initialize


class $network(nn.Module):
    """Two convolutions on the stacked inputs of all frames.

    Args:
        joints: Number of joints K.
        frames: Number of frames T.$feature_doc
        channels: Channels between the two convolutions.
    """

    def __init__(
        self,
        *,
        joints: int,
        frames: int,$feature_argument
        channels: Positive,
    ) -> None:
        super().__init__()
        in_channels = $in_channels
        self.first = conv_norm(in_channels, channels)
        self.second = heatmap_layer(channels, joints)
        initialize(self.first)

    def forward(self, $arguments) -> Tensor:
        """Return the heatmaps of the key frame, ``(B, K, H, W)``.

        Args:
$argument_docs
        """
        inputs = [$parts]
        out: Tensor = self.second(self.first(torch.cat(inputs, dim=1)))
        return out
''')
_TOKENS = Template('''"""$Name: a convolution on the tokens of all frames, and a decoder.

Shapes: B clips, T frames with the key frame in the middle, N = rows x columns tokens in row-major
order, D channels per token, K joints.
"""

from torch import Tensor, nn

from models.head_parts.argument_types import Positive
from models.head_parts.blocks import conv_norm, initialize
from models.head_parts.decoder import HeatmapDecoder
from models.head_parts.token_layout import check_tokens, to_map


class $network(nn.Module):
    """A convolution on the stacked tokens of all frames, then a decoder.

    Args:
        joints: Number of joints K.
        frames: Number of frames T.
        grid: (rows, columns) of the tokens of a frame.
        embed_dim: Channels D per token.
        channels: Channels behind the convolution and of the decoder.
    """

    def __init__(
        self, *, joints: int, frames: int, grid: tuple[int, int], embed_dim: int, channels: Positive
    ) -> None:
        super().__init__()
        self.frames, self.grid, self.embed_dim = frames, grid, embed_dim
        self.first = conv_norm(frames * embed_dim, channels)
        self.decoder = HeatmapDecoder(
            in_channels=channels, channels=(channels, channels), kernels=(2, 2), joints=joints
        )
        initialize(self.first)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the heatmaps of the key frame, ``(B, K, 4 * rows, 4 * columns)``.

        Args:
            tokens: Tokens of all frames, ``(B, T, N, D)``.
        """
        check_tokens(tokens, frames=self.frames, grid=self.grid, embed_dim=self.embed_dim)
        stacked = to_map(tokens.transpose(1, 2).flatten(2), self.grid)
        heatmaps: Tensor = self.decoder(self.first(stacked))
        return heatmaps
''')
_TEST = Template('''"""$Name: the size of its heatmaps, and that it learns."""

import torch

from models.heads.$name.network import $network

INPUTS = {
$inputs}


def head() -> $network:
    torch.manual_seed(0)
    return $network($sizes)


def test_heatmaps_have_the_size_of_the_grid() -> None:
    assert head()(**INPUTS).shape == (2, 4, 8, 6)


def test_one_batch_can_be_learned_and_every_parameter_gets_a_gradient() -> None:
    network, target = head(), torch.rand(2, 4, 8, 6)
    optimizer = torch.optim.AdamW(network.parameters(), 1e-2)
    losses = []
    for _ in range(100):
        loss = (network(**INPUTS) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    assert all(p.grad is not None and p.grad.any() for p in network.parameters())
''')


def class_name(name: str) -> str:
    """Return the name of the network's class for the name of a system."""
    return "".join(part.capitalize() for part in name.split("_"))


def system_source(name: str, reads: Sequence[str], template: System) -> str:
    """Return the content of ``system.py``.

    Args:
        name: Name of the system.
        reads: Caches that it reads.
        template: A head on the same crops; the new one is compared with the same systems.
    """
    return _SYSTEM.substitute(
        name=name,
        title=f"two convolutions on {' and '.join(reads)}",
        crops=template.crops,
        caches=", ".join(f'"{kind}"' for kind in reads),
        network=class_name(name),
        baseline=template.baseline,
        controls=str(template.controls).replace("'", '"'),
    )


def network_source(name: str, reads: Sequence[str]) -> str:
    """Return the content of ``network.py``.

    Args:
        name: Name of the system.
        reads: Caches that it reads.
    """
    names = {"Name": class_name(name), "network": class_name(name)}
    if "tokens" in reads:
        return _TOKENS.substitute(names)
    features = "features" in reads
    doc = "\n        feature_channels: Channels of the backbone's features."
    return _MAPS.substitute(
        names,
        inputs=" and ".join(reads),
        feature_doc=doc if features else "",
        feature_argument="\n        feature_channels: int," if features else "",
        in_channels=" + ".join(SHAPES[kind][0] for kind in reads),
        arguments=", ".join(f"{kind}: Tensor" for kind in reads),
        argument_docs="\n".join(f"            {kind}: {SHAPES[kind][1]}" for kind in reads),
        parts=", ".join(f"{kind}.flatten(1, 2)" for kind in reads),
    )


def unit_test_source(name: str, reads: Sequence[str]) -> str:
    """Return the content of the head's test.

    Args:
        name: Name of the system.
        reads: Caches that it reads.
    """
    if "tokens" in reads:
        examples = {"tokens": "torch.rand(2, 3, 6, 10)"}
        sizes = "joints=4, frames=3, grid=(2, 3), embed_dim=10, channels=8"
        size = "(2, 4, 8, 12)"
    else:
        examples = {kind: EXAMPLES[kind] for kind in reads}
        features = ", feature_channels=5" if "features" in reads else ""
        sizes, size = f"joints=4, frames=3{features}, channels=8", "(2, 4, 8, 6)"
    inputs = "".join(f'    "{kind}": {example},\n' for kind, example in examples.items())
    source = _TEST.substitute(
        name=name, Name=class_name(name), network=class_name(name), inputs=inputs, sizes=sizes
    )
    return source.replace("(2, 4, 8, 6)", size)
