"""Names of published networks and the loading of converted files."""

import pytest
import torch
from torch import nn

from models.published.catalog import find_published, list_published, load_converted
from models.published.rules import (
    ConvertedWeights,
    NamingScheme,
    Rule,
    add_batch_counters,
    apply_rules,
)
from models.vit.network import LAYER_NORM_EPSILON, load_vit
from tests.models.published.random_tensors import fill_randomly

DETECTOR = "ssdlite320_mobilenet_v3_large"


@pytest.mark.parametrize(
    ("name", "family", "variant"),
    [
        ("hrnet_w48", "hrnet", "w48"),
        ("vitpose_h", "vit", "vit_huge"),
        ("raft_small", "raft", "raft_small"),
        (DETECTOR, "detector", DETECTOR),
    ],
)
def test_a_name_selects_its_network(name: str, family: str, variant: str) -> None:
    found = find_published(name, joints=15)
    assert found is not None
    assert (found.family, found.variant) == (family, variant)
    assert name in list_published()


@pytest.mark.parametrize("name", ["tiny", "keypointrcnn_resnet50_fpn"])
def test_an_unknown_name_selects_no_network(name: str) -> None:
    assert find_published(name, joints=15) is None
    assert name not in list_published()


def test_an_imported_torchvision_detector_returns_the_same_boxes() -> None:
    published = find_published(DETECTOR, joints=15)
    assert published is not None
    theirs = published.build()
    file = fill_randomly(theirs, seed=1, dtype=torch.float32)
    counters = [name for name in file if name.endswith("num_batches_tracked")]
    rest = {name: tensor for name, tensor in file.items() if name not in counters}

    weights, converted = load_converted(published, published.convert(rest, "f.pth"), "f.pth")

    ours = published.build()
    ours.load_state_dict(weights)
    images = [torch.rand(3, 90, 120, generator=torch.Generator().manual_seed(2))]
    with torch.no_grad():
        expected, found = theirs(images)[0], ours(images)[0]
    assert len(expected["boxes"]) > 0
    assert torch.equal(found["boxes"], expected["boxes"])
    assert torch.equal(found["scores"], expected["scores"])
    assert [(line.action, line.tensors) for line in converted.table] == [
        ("copied", len(rest)),
        ("added", len(counters)),
    ]


def test_a_missing_or_non_finite_tensor_is_rejected() -> None:
    published = find_published("raft_small", joints=15)
    assert published is not None
    file = published.build().state_dict()
    plain = {name.removeprefix("network."): tensor for name, tensor in file.items()}
    last = "update_block.flow_head.conv2.bias"

    incomplete = {name: tensor for name, tensor in plain.items() if name != last}
    with pytest.raises(ValueError, match=rf"f\.pth: .* 1 missing \(network\.{last}\)"):
        load_converted(published, published.convert(incomplete, "f.pth"), "f.pth")
    broken = plain | {last: torch.full_like(plain[last], torch.nan)}
    with pytest.raises(ValueError, match=rf"non-finite values \(network\.{last}\)"):
        load_converted(published, published.convert(broken, "f.pth"), "f.pth")


def test_casts_are_listed_and_integers_are_refused() -> None:
    published = find_published("raft_small", joints=15)
    assert published is not None
    plain = {n.removeprefix("network."): t for n, t in published.build().state_dict().items()}
    last = "update_block.flow_head.conv2.bias"
    file = plain | {last: plain[last].double()}

    tensors, converted = load_converted(published, published.convert(file, "f.pth"), "f.pth")

    assert tensors[f"network.{last}"].dtype == torch.float32
    assert converted.table[-1] == ("float64 to float32", "cast", 1, f"network.{last}")
    file[last] = plain[last].int()
    with pytest.raises(ValueError, match=rf"1 of another kind \(network\.{last} torch\.int32"):
        load_converted(published, published.convert(file, "f.pth"), "f.pth")


def test_the_epsilon_of_a_vit_is_part_of_its_weights() -> None:
    published = find_published("vitpose_s", joints=15)
    assert published is not None
    with torch.device("meta"):
        shapes = published.build().state_dict()
    weights = {name: torch.zeros(()).expand(tensor.shape) for name, tensor in shapes.items()}
    official = ConvertedWeights("official", weights, (), layer_norm_epsilon=1e-6)

    tensors, converted = load_converted(published, official, "f.pth")

    assert tensors[LAYER_NORM_EPSILON] == torch.tensor(1e-6, dtype=torch.float64)
    assert converted.table[-1].description == "epsilon of the LayerNorms, 1e-06"
    network = load_vit(tensors, "f", (256, 192), "vit_small")
    norms = [module for module in network.modules() if isinstance(module, nn.LayerNorm)]
    assert len(norms) == 25
    assert {norm.eps for norm in norms} == {1e-6}


def test_two_tensors_with_one_target_are_rejected() -> None:
    rules = (Rule("a|b", ("c",), "both"),)
    with pytest.raises(ValueError, match="one tensor for c, got a second one, b"):
        apply_rules({"a": torch.zeros(1), "b": torch.zeros(1)}, NamingScheme("n", (), rules), "f")


def test_no_counter_is_added_if_the_file_has_all() -> None:
    converted = ConvertedWeights("n", {"x.num_batches_tracked": torch.tensor(3)}, ())
    assert add_batch_counters(converted, ["x.num_batches_tracked"]) is converted
