"""HRNet files of every naming scheme give the heatmaps of a literal HRNet on the file's names."""

import re
from functools import cache

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from models.base.weights import load_weights
from models.hrnet.network import build_hrnet
from models.published.hrnet import SCHEMES, convert_hrnet, select_head_rows
from tests.models.hrnet.oracle_hrnet import literal_hrnet
from tests.models.published.random_tensors import Weights, fill_randomly, unused_tensors

PREFIXES = {
    "official": ("", "final_layer."),
    "mmpose 0.x": ("backbone.", "keypoint_head.final_layer."),
    "mmpose 1.x": ("backbone.", "head.final_layer."),
    "DCPose": ("rough_pose_estimation_net.", "rough_pose_estimation_net.final_layer."),
    "FAMI-Pose": ("hrnet.", "hrnet.final_layer."),
}
"""Prefixes of layer names and of the head's names by naming scheme."""
TINY_MODULES = (1, 2, 1)
ROWS = {f"joint{i}": row for i, row in enumerate([0, 2, 1, *range(5, 17)])}


@pytest.fixture(scope="module")
def tensors() -> Weights:
    """Tensors of a tiny HRNet with 17 head rows under the official names."""
    weights = fill_randomly(build_hrnet("tiny", joints=17), seed=1)
    return {name.removeprefix("backbone."): tensor for name, tensor in weights.items()}


def named(tensors: Weights, naming: str, *, wrapper: str = "") -> Weights:
    body, head = PREFIXES[naming]
    return {
        wrapper + (head + name[12:] if name.startswith("final_layer.") else body + name): tensor
        for name, tensor in tensors.items()
    }


def reference(tensors: Weights, naming: str, images: Tensor) -> Tensor:
    """Return all 17 heatmaps, computed on the names of the file."""
    body, head = PREFIXES[naming]
    w = {name[len(body) :]: tensor for name, tensor in tensors.items() if name.startswith(body)}
    features = literal_hrnet(images, w, TINY_MODULES)
    return F.conv2d(features, tensors[f"{head}weight"], tensors[f"{head}bias"])


def pictures() -> Tensor:
    return torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(2)).double()


@pytest.mark.parametrize("wrapper", ["", "module."])
@pytest.mark.parametrize("naming", PREFIXES)
def test_heatmaps_equal_those_of_the_file(naming: str, wrapper: str, tensors: Weights) -> None:
    file = named(tensors, naming, wrapper=wrapper)
    network = build_hrnet("tiny", joints=15).double()

    converted = select_head_rows(convert_hrnet(file, "f.pth"), ROWS, "f.pth")
    weights = {
        name: t.double() if t.is_floating_point() else t for name, t in converted.weights.items()
    }
    load_weights(network, weights, "f.pth")

    assert converted.naming == naming
    plain = {name.removeprefix(wrapper): tensor for name, tensor in file.items()}
    with torch.no_grad():
        expected = reference(plain, naming, pictures())[:, list(ROWS.values())]
        found = network(pictures()).heatmaps
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


def test_the_reference_depends_on_every_tensor(tensors: Weights) -> None:
    file = named(tensors, "mmpose 1.x")
    assert unused_tensors(lambda w: reference(w, "mmpose 1.x", pictures()), file) == []


def test_the_table_counts_every_tensor_of_the_file(tensors: Weights) -> None:
    extra = {
        "offset_mask_combine_conv.0.weight": torch.zeros(3),
        "final_layer.weight": torch.ones(2),
    }
    file = named(tensors, "DCPose") | extra

    converted = convert_hrnet(file, "f.pth")

    assert [(line.action, line.tensors) for line in converted.table] == [
        ("copied", len(tensors) - 2),
        ("copied", 2),
        ("skipped", 2),
    ]
    assert converted.table[2].description == "model around rough_pose_estimation_net"
    assert converted.table[0].example == (
        "rough_pose_estimation_net.conv1.weight -> backbone.conv1.weight"
    )


def test_a_missing_head_row_is_random_and_reported(tensors: Weights) -> None:
    converted = convert_hrnet(named(tensors, "official"), "f.pth")

    first = select_head_rows(converted, {"a": 4, "new": None, "b": 0}, "f.pth")
    again = select_head_rows(converted, {"a": 4, "new": None, "b": 0}, "f.pth")

    weight, bias = first.weights["final_layer.weight"], first.weights["final_layer.bias"]
    theirs = tensors["final_layer.weight"]
    assert torch.equal(weight[0], theirs[4])
    assert torch.equal(weight[2], theirs[0])
    assert 0 < weight[1].abs().max() < 0.01
    assert bias[1] == 0
    assert torch.equal(weight, again.weights["final_layer.weight"])
    assert [(line.action, line.tensors, line.example) for line in first.table[-3:]] == [
        ("copied", 2, ""),
        ("skipped", 15, ""),
        ("added", 1, "new"),
    ]
    assert torch.equal(converted.weights["final_layer.weight"], tensors["final_layer.weight"])


@cache
def published(variant: str) -> Weights:
    with torch.device("meta"):
        return build_hrnet(variant, joints=17).state_dict()


@pytest.mark.parametrize("variant", ["w32", "w48"])
@pytest.mark.parametrize("naming", PREFIXES)
def test_every_tensor_of_the_published_sizes_has_a_target(naming: str, variant: str) -> None:
    ours = published(variant)
    # Networks derived from DCPose build the complete last fusion with 78 more tensors; three
    # represent them here.
    lower = {f"stage4.2.fuse_layers.{i}.0.0.0.weight": torch.empty(1) for i in (1, 2, 3)}
    official = {name.removeprefix("backbone."): tensor for name, tensor in ours.items()}

    converted = convert_hrnet(named(official | lower, naming), "f.pth")

    assert {name: t.shape for name, t in converted.weights.items()} == {
        name: t.shape for name, t in ours.items()
    }
    assert [line.tensors for line in converted.table if line.action == "skipped"] == [3]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classifier.weight": torch.zeros(1)}, "1 that match no rule: classifier.weight"),
        ({"stage5.0.weight": torch.zeros(1)}, "1 that match no rule: stage5.0.weight"),
        ({"head.final_layer.weight": torch.zeros(1)}, "match no rule: head.final_layer.weight"),
        ({"final_layer.weight": torch.zeros(15, 32, 1, 1)}, "expected 17 rows"),
    ],
)
def test_an_unexpected_tensor_is_named(change: Weights, message: str, tensors: Weights) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        select_head_rows(convert_hrnet(named(tensors, "official") | change, "f.pth"), ROWS, "f.pth")


def test_a_file_of_another_network_is_rejected_and_known_schemes_are_listed() -> None:
    with pytest.raises(
        ValueError, match=r"f\.pth: expected the tensor names .*DCPose \(rough.* got fc"
    ):
        convert_hrnet({"fc.weight": torch.zeros(1)}, "f.pth")
    assert [scheme.title for scheme in SCHEMES] == list(PREFIXES)
