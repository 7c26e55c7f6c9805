"""Official and torchvision's RAFT files give the flow of a literal RAFT on the official names."""

import re
from functools import cache

import pytest
import torch
from torch import Tensor
from torchvision.models import optical_flow

from models.base.weights import load_weights
from models.published.raft import convert_raft
from models.raft.network import build_raft
from tests.models.published.oracle_raft import literal_raft
from tests.models.published.random_tensors import Weights, fill_randomly, unused_tensors

ENTRIES = {"raft_large": 179, "raft_small": 106}
"""Number of tensors in the official files raft-things.pth and raft-small.pth."""
UPDATES = 2


def shapes(variant: str) -> dict[str, tuple[int, ...]]:
    """Return the tensor shapes of an official file, after Figs. 4 and 5 and the official code."""
    small = variant == "raft_small"
    widths = (32, 64, 96) if small else (64, 96, 128)
    layers: dict[str, tuple[int, ...]] = {}
    norms: dict[str, int] = {}
    for name, out in (("fnet", 128 if small else 256), ("cnet", 160 if small else 256)):
        before = 32 if small else 64
        layers[f"{name}.conv1"] = (before, 3, 7, 7)
        norms[f"{name}.norm1"] = before
        for level, width in enumerate(widths, start=1):
            for block in (0, 1):
                at = f"{name}.layer{level}.{block}"
                inner = width // 4
                kernels = (
                    [(inner, before, 1), (inner, inner, 3), (width, inner, 1)]
                    if small
                    else [(width, before, 3), (width, width, 3)]
                )
                for i, (rows, columns, side) in enumerate(kernels, start=1):
                    layers[f"{at}.conv{i}"] = (rows, columns, side, side)
                    norms[f"{at}.norm{i}"] = rows
                if level > 1 and block == 0:
                    layers[f"{at}.downsample.0"] = (width, before, 1, 1)
                    norms |= {f"{at}.downsample.1": width, f"{at}.norm3": width}
                before = width
        layers[f"{name}.conv2"] = (out, before, 1, 1)
    layers |= {f"update_block.{name}": shape for name, shape in update_shapes(small=small).items()}
    found = {f"{name}.weight": shape for name, shape in layers.items()}
    found |= {f"{name}.bias": shape[:1] for name, shape in layers.items()}
    for name, width in norms.items():
        if name.startswith("cnet") and not small:
            parts = ("weight", "bias", "running_mean", "running_var")
            found |= {f"{name}.{part}": (width,) for part in parts}
            found[f"{name}.num_batches_tracked"] = ()
    return found


def update_shapes(*, small: bool) -> dict[str, tuple[int, ...]]:
    if small:
        sides = {"z": (3, 3), "r": (3, 3), "q": (3, 3)}
        return {f"gru.conv{gate}": (96, 242, *side) for gate, side in sides.items()} | {
            "encoder.convc1": (96, 4 * 49, 1, 1),
            "encoder.convf1": (64, 2, 7, 7),
            "encoder.convf2": (32, 64, 3, 3),
            "encoder.conv": (80, 128, 3, 3),
            "flow_head.conv1": (128, 96, 3, 3),
            "flow_head.conv2": (2, 128, 3, 3),
        }
    gates = {f"gru.conv{gate}1": (128, 384, 1, 5) for gate in "zrq"}
    gates |= {f"gru.conv{gate}2": (128, 384, 5, 1) for gate in "zrq"}
    return gates | {
        "encoder.convc1": (256, 4 * 81, 1, 1),
        "encoder.convc2": (192, 256, 3, 3),
        "encoder.convf1": (128, 2, 7, 7),
        "encoder.convf2": (64, 128, 3, 3),
        "encoder.conv": (126, 256, 3, 3),
        "flow_head.conv1": (256, 128, 3, 3),
        "flow_head.conv2": (2, 256, 3, 3),
        "mask.0": (256, 128, 3, 3),
        "mask.2": (576, 256, 1, 1),
    }


@cache
def official(variant: str) -> Weights:
    """Return an official file with random values; duplicated normalizations share a tensor."""
    generator = torch.Generator().manual_seed(7)
    file: Weights = {}
    for name, shape in shapes(variant).items():
        if name.endswith("num_batches_tracked"):
            file[name] = torch.tensor(5)
            continue
        fan = max(1, int(torch.tensor(shape[1:]).prod())) if len(shape) > 1 else 4
        values = torch.randn(shape, generator=generator) / fan**0.5
        file[name] = values.abs() + 0.5 if name.endswith("running_var") else values
    for name in file:
        if ".norm3." in name and f"{name.replace('norm3', 'downsample.1')}" in file:
            file[name] = file[name.replace("norm3", "downsample.1")]
    return file


def pictures(seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (1, 3, 128, 136), generator=generator).float()


def flow_of(variant: str, weights: Weights) -> Tensor:
    network = build_raft(variant, UPDATES)
    load_weights(network, weights, "f.pth")
    with torch.no_grad():
        return network(pictures(1), pictures(2))


@pytest.mark.parametrize("variant", ENTRIES)
def test_flow_equals_that_of_an_official_file(variant: str) -> None:
    file = official(variant)
    assert len(file) == ENTRIES[variant]

    converted = convert_raft({f"module.{name}": t for name, t in file.items()}, "f.pth")

    assert converted.naming == "official"
    with torch.no_grad():
        expected = literal_raft(pictures(1), pictures(2), file, UPDATES)
    assert expected.abs().mean() > 0.1
    torch.testing.assert_close(flow_of(variant, converted.weights), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("variant", ENTRIES)
def test_the_reference_depends_on_every_tensor(variant: str) -> None:
    def forward(w: Weights) -> Tensor:
        return literal_raft(pictures(1), pictures(2), w, UPDATES)

    # Only the second copy of a shortcut normalization is unused.
    missed = unused_tensors(forward, official(variant))
    assert all(re.search(r"^cnet\.layer[23]\.0\.norm3\.", name) for name in missed)


@pytest.mark.parametrize("variant", ENTRIES)
def test_flow_equals_that_of_torchvision_for_its_files(variant: str) -> None:
    theirs = getattr(optical_flow, variant)(weights=None, progress=False).eval()
    file = fill_randomly(theirs, seed=8, dtype=torch.float32)

    converted = convert_raft(file, "f.pth")

    assert converted.naming == "torchvision"
    with torch.no_grad():
        first, second = (pictures(seed) / 127.5 - 1 for seed in (1, 2))
        expected = theirs(first, second, num_flow_updates=UPDATES)[-1]
    assert torch.equal(flow_of(variant, converted.weights), expected)


def test_two_different_copies_of_a_normalization_are_rejected() -> None:
    file = official("raft_large")
    name = "cnet.layer2.0.norm3.bias"
    with pytest.raises(ValueError, match=rf"{re.escape(name)} and cnet.layer2.0.downsample.1.bias"):
        convert_raft(file | {name: file[name] + 1}, "f.pth")


def test_missing_and_unknown_tensors_are_named() -> None:
    file = official("raft_small")
    rest = {name: t for name, t in file.items() if name != "update_block.gru.convz.bias"}
    with pytest.raises(ValueError, match=r"1 missing \(.*convgru1\.convz\.bias\)"):
        flow_of("raft_small", convert_raft(rest, "f.pth").weights)
    with pytest.raises(ValueError, match=r"match no rule: update_block\.gate\.bias"):
        convert_raft(file | {"update_block.gate.bias": torch.zeros(1)}, "f.pth")
    with pytest.raises(ValueError, match="of another shape"):
        flow_of("raft_large", convert_raft(file, "f.pth").weights)
