"""Every declared part of a head is replaced by what its name says, and by that alone."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from models.head_parts.building import CacheHead
from models.head_parts.lookup import find_parts, systems_with_parts
from models.head_parts.replaced_parts import Part, run_measured, run_replaced
from models.head_parts.warp import warp_to_key_frame
from pipeline.core.params import read_params
from posereel.configured_head import read_head
from posereel.networks import cache_shapes
from tests.models.heads.jmpose.test_network import clips, jmpose, stirred
from tests.models.heads.vremd.test_network import vremd

PARAMS = Path(__file__).resolve().parents[3] / "params.yaml"
JMPOSE = (
    "flow := 0", "flow of another clip", "supporting heatmaps := the key frame's",
    "CJL's offsets := 0", "CJL's modulation := 1", "attention's values := 0", "Eq. 9's masks := 1",
)  # fmt: skip
VREMD_PARTS = (
    "F := another clip's", "keypoint tokens := another clip's", "human mask := 1",
    "keypoint mask := 1", "points := their ring", "M := another clip's", "H_k alone", "H_m alone",
)  # fmt: skip


def parts_of(system: str, head: nn.Module) -> dict[str, Part]:
    return {part.name: part for part in find_parts(system)(head)}


def inputs(seed: int) -> dict[str, Tensor]:
    moved = {name: value.roll(seed, -1) for name, value in clips().items()}
    return {name: moved[name] + 0.1 * seed for name in ("heatmaps", "flow")}


def tokens(seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {"tokens": torch.randn(2, 3, 12, 16, generator=generator)}


@pytest.mark.parametrize("system", systems_with_parts())
def test_every_part_of_the_default_changes_a_random_head_and_leaves_it_as_it_was(
    system: str,
) -> None:
    configured = read_head(PARAMS, system)
    frames = configured.system.frames
    shapes = cache_shapes(read_params(PARAMS), configured.crop_size, frames)
    shapes = {kind: shapes[kind] for kind in configured.system.caches}
    torch.manual_seed(0)
    head = stirred(configured.network(shapes))
    own, other = ({kind: torch.rand(2, *shape) for kind, shape in shapes.items()} for _ in range(2))
    network = CacheHead(head=head)
    parts = parts_of(system, head)
    assert parts
    with torch.no_grad():
        before, measured = run_measured(network, list(parts.values()), own)
        assert measured.keys() == parts.keys()
        assert all(len(values) == 2 for values in measured.values())
        for name, part in parts.items():
            replaced = run_replaced(network, part, own, other)
            assert (replaced - before).abs().max() > 1e-6, name
            assert torch.equal(network(own), before), name
    assert not any(module._forward_hooks for module in network.modules())


def zeroed(layer: nn.Module, bias: float = 0.0) -> None:
    """Make the output of a convolution a constant."""
    for parameter in layer.parameters():
        nn.init.constant_(parameter, bias if parameter.ndim == 1 else 0.0)


def no_attention(head: nn.Module) -> None:
    for name, module in head.named_modules():
        if name.endswith("attention.value"):
            zeroed(module)


def open_masks(head: nn.Module) -> None:
    for name, module in head.named_modules():
        if name.startswith("interactions.") and name.endswith(".mask.1"):
            zeroed(module, bias=100.0)


BY_INPUT: dict[str, Callable[[dict[str, Tensor], dict[str, Tensor]], dict[str, Tensor]]] = {
    JMPOSE[0]: lambda own, _: {"flow": torch.zeros_like(own["flow"])},
    JMPOSE[1]: lambda _, other: {"flow": other["flow"]},
    JMPOSE[2]: lambda own, _: {"heatmaps": own["heatmaps"][:, [1, 1, 1]]},
}
BY_WEIGHTS: dict[str, Callable[[nn.Module], None]] = {
    JMPOSE[3]: lambda head: zeroed(head.get_submodule("learner.offsets")),
    JMPOSE[4]: lambda head: zeroed(head.get_submodule("learner.masks"), bias=100.0),
    JMPOSE[5]: no_attention,
    JMPOSE[6]: open_masks,
}


def test_the_parts_of_jmpose_are_replaced_in_a_copy_by_hand() -> None:
    own, other, head = inputs(0), inputs(1), stirred(jmpose())
    parts = parts_of("jmpose", head)
    assert tuple(parts) == JMPOSE == (*BY_INPUT, *BY_WEIGHTS)
    with torch.no_grad():
        for name, part in parts.items():
            copy, given = deepcopy(head), own
            if name in BY_INPUT:
                given = own | BY_INPUT[name](own, other)
            else:
                BY_WEIGHTS[name](copy)
            heatmaps = run_replaced(CacheHead(head=head), part, own, other)
            torch.testing.assert_close(heatmaps, copy(**given).heatmaps, msg=name)


def test_the_parts_of_vremd_are_replaced_in_a_copy_by_hand() -> None:
    own, other = tokens(0), tokens(1)
    head: Any = stirred(vremd())
    with torch.no_grad():
        features, others = (head.project(head.standardize(each["tokens"])) for each in (own, other))
        key = own["tokens"][:, 1]
        (enhanced, joints), (enhanced2, joints2) = head.hkme(features), head.hkme(others)
        motion, motion2 = head.bmd(features, enhanced), head.bmd(others, enhanced2)
        h_k, h_m = head.keypoint_head(joints), head._decode(motion, key)
        expected = {
            "F := another clip's": (head._decode(head.bmd(features, enhanced2), key) + h_k) / 2,
            "keypoint tokens := another clip's": (h_m + head.keypoint_head(joints2)) / 2,
            "M := another clip's": (head._decode(motion2, key) + h_k) / 2,
            "H_k alone": h_k,
            "H_m alone": h_m,
        }
        for name in ("human", "keypoint"):
            copy = deepcopy(head)
            copy.hkme.get_submodule(f"{name}_mask").enabled = False
            expected[f"{name} mask := 1"] = copy(own["tokens"])
        copy = deepcopy(head)
        for trajectory in copy.bmd.trajectories:
            for block in trajectory.blocks:
                zeroed(block.sampler.offsets)
        expected["points := their ring"] = copy(own["tokens"])
        parts = parts_of("vremd", head)
        assert tuple(parts) == VREMD_PARTS
        for name, part in parts.items():
            heatmaps = run_replaced(CacheHead(head=head), part, own, other)
            torch.testing.assert_close(heatmaps, expected[name], msg=name)


def test_the_motion_feature_is_replaced_alone_where_the_flow_also_moves_heatmaps() -> None:
    own, other, head = inputs(0), inputs(1), stirred(jmpose(aggregate="warped"))
    parts = parts_of("jmpose", head)
    assert parts.keys() - set(JMPOSE) == {"motion feature of another clip"}
    part = parts["motion feature of another clip"]
    with torch.no_grad():
        heatmaps = run_replaced(CacheHead(head=head), part, own, other)
        # Heatmaps that are moved beforehand, in a head that moves none.
        stacked = jmpose().eval()
        stacked.load_state_dict(head.state_dict())
        moved = warp_to_key_frame(own["heatmaps"], own["flow"])
        torch.testing.assert_close(heatmaps, stacked(moved, other["flow"]).heatmaps)


def test_what_is_switched_off_has_no_parts() -> None:
    off = jmpose(joint_learner=False, interaction=False)
    assert tuple(parts_of("jmpose", off)) == JMPOSE[:3]
    features = jmpose(motion="features", feature_channels=5)
    assert tuple(parts_of("jmpose", features)) == JMPOSE[2:]
    assert tuple(parts_of("vremd", vremd(hkme=False))) == VREMD_PARTS[4:6]
    assert tuple(parts_of("vremd", vremd(bmd=False, human_mask=False))) == (
        *VREMD_PARTS[:2], VREMD_PARTS[3], *VREMD_PARTS[6:],
    )  # fmt: skip
    assert tuple(parts_of("vremd", vremd(sampler="deformable_attention", hkme=False))) == (
        "M := another clip's",
    )


def test_masks_are_measured_by_clip() -> None:
    head = vremd().eval()
    with torch.no_grad():
        parts = find_parts("vremd")(head)
        _, measured = run_measured(CacheHead(head=head), parts, tokens(0))
    assert measured["human mask := 1"].shape == (2, 3 * 12)
    assert measured["keypoint mask := 1"].shape == (2, 3 * 12)
    assert ((measured["human mask := 1"] > 0) & (measured["human mask := 1"] < 1)).all()
    torch.testing.assert_close(measured["keypoint mask := 1"].mean(), torch.tensor(1.0))


def test_a_system_without_parts_is_refused_with_those_that_have_some() -> None:
    with pytest.raises(ValueError, match=r"'hrnet': expected one with parts: .*jmpose.*vremd"):
        find_parts("hrnet")
