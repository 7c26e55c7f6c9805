"""JM-Pose: each equation against the literal sum, its switches, learning, what it refuses."""

import re
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from models.head_parts.warp import warp_to_key_frame
from models.heads.jmpose.initialization import MASK_START
from models.heads.jmpose.interaction import CrossAttention, JointMotionInteraction
from models.heads.jmpose.joint_learner import ContextAwareJointLearner
from models.heads.jmpose.mutual_info import JointMotionLoss
from models.heads.jmpose.network import JMPose, JMPoseOutput
from tests.models.oracle_jmpose import attention as literal_attention
from tests.models.oracle_jmpose import masked, modulated_deformable_convolution, unit

K, T, C, D = 4, 3, 8, 5
SMALL: dict[str, Any] = {
    "joints": K,
    "frames": T,
    "channels": C,
    "layers": 2,
    "offset_groups": 2,
    "dilation": 1,
    "attention": "channel",
    "attention_heads": 2,
    "jmib_mask": "fused",
    "motion": "flow",
    "aggregate": "stacked",
}
FEATURES: dict[str, Any] = {"motion": "features", "feature_channels": D}
SWITCHES: list[dict[str, Any]] = [
    {"joint_learner": False},
    {"mutual_learning": False},
    {"interaction": False},
    {"jmib_mask": "literal"},
    {"attention": "spatial"},
    {"layers": 1},
    FEATURES,
]
WARPED: dict[str, Any] = {"aggregate": "warped"}
each_variant = pytest.mark.parametrize("changes", [{}, WARPED, *SWITCHES], ids=str)


def jmpose(**changes: object) -> JMPose:
    torch.manual_seed(0)
    return JMPose(**{**SMALL, **changes})


def clips(batch: int = 2, height: int = 8, width: int = 6, frames: int = T) -> dict[str, Tensor]:
    torch.manual_seed(1)
    return {
        "heatmaps": torch.rand(batch, frames, K, height, width),
        "flow": torch.randn(batch, frames - 1, 2, height, width),
        "features": torch.randn(batch, frames, D, height, width),
    }


def stirred(network: nn.Module) -> nn.Module:
    """Move every parameter away from where it begins, as training does; evaluation mode."""
    torch.manual_seed(2)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return network.eval()


def names(network: nn.Module) -> set[str]:
    return {name for name, _ in network.named_parameters()}


def cells(x: Tensor) -> list[list[float]]:
    """Turn ``(C, H, W)`` into one row of C numbers per cell."""
    rows: list[list[float]] = x.flatten(1).T.tolist()
    return rows


# Equations


def test_motion_is_the_flow_of_all_steps_stacked() -> None:
    # Eq. 1: the first convolution reads (dx, dy) of the first step, then of the second.
    network = jmpose().eval()
    flow = clips()["flow"]
    stacked = torch.cat([flow[:, 0], flow[:, 1]], dim=1)
    torch.testing.assert_close(network.motion(flow), network.motion.body(stacked))


def test_feature_motion_is_the_difference_of_consecutive_frames() -> None:
    network = jmpose(**FEATURES).eval()
    inputs = clips()
    x = inputs["features"]
    differences = torch.stack([x[:, 1] - x[:, 0], x[:, 2] - x[:, 1]], dim=1)
    expected = network.motion(differences)
    seen = []
    network.motion.register_forward_hook(lambda _module, _args, out: seen.append(out))
    network(inputs["heatmaps"], features=x)
    torch.testing.assert_close(seen[0], expected)


@pytest.mark.parametrize("dilation", [1, 3])
def test_the_joint_learner_is_equations_2_to_5(dilation: int) -> None:
    torch.manual_seed(0)
    learner = ContextAwareJointLearner(joints=K, channels=C, offset_groups=2, dilation=dilation)
    nn.init.normal_(learner.weight)
    stirred(learner)
    heatmaps, motion = torch.rand(1, K, 5, 4), torch.randn(1, C, 5, 4)
    fused = learner.fuse(torch.cat([heatmaps, motion], dim=1))  # Eq. 2
    offsets = learner.offsets(learner.offset_block(fused))  # Eq. 3
    weights = learner.masks(learner.mask_block(fused)).sigmoid()  # Eq. 4
    assert offsets.abs().max() > 0.3
    gathered = modulated_deformable_convolution(  # Eq. 5
        motion[0].tolist(),
        offsets[0].tolist(),
        weights[0].tolist(),
        learner.weight.tolist(),
        dilation,
    )
    expected = learner.norm(torch.tensor(gathered)[None])
    torch.testing.assert_close(learner(heatmaps, motion), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", ["channel", "spatial"])
def test_cross_attention_is_equation_7(kind: str) -> None:
    torch.manual_seed(0)
    module = CrossAttention(channels=4, heads=2, kind=kind)
    stirred(module)
    query_source, context = torch.randn(2, 1, 4, 3, 5)
    query = module.query(query_source)[0]
    key, value = module.key(context)[0], module.value(context)[0]
    expected = []
    for head, (q, k, v) in enumerate(
        zip(query.chunk(2), key.chunk(2), value.chunk(2), strict=True)
    ):
        if kind == "channel":  # tokens are channels
            rows = [[unit(r) for r in x.flatten(1).tolist()] for x in (q, k)]
            scale = module.scale[head].item()
            out = literal_attention(*rows, v.flatten(1).tolist(), scale)
            expected.append(torch.tensor(out).view(2, 3, 5))
        else:  # tokens are cells, d = 2 channels per head
            out = literal_attention(cells(q), cells(k), cells(v), 2**-0.5)
            expected.append(torch.tensor(out).T.reshape(2, 3, 5))
    torch.testing.assert_close(
        module(query_source, context)[0], torch.cat(expected), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("mask", ["fused", "literal"])
def test_the_interaction_is_equations_6_to_10(mask: str) -> None:
    torch.manual_seed(0)
    block = JointMotionInteraction(channels=4, attention="channel", attention_heads=2, mask=mask)
    stirred(block)
    joint, motion = torch.randn(2, 1, 4, 3, 5)
    got_joint, got_motion = block(joint, motion)
    joint, motion = block.joint_block(joint), block.motion_block(motion)
    new_joint = block.joint_attention(joint, motion) + joint
    new_motion = block.motion_attention(motion, joint) + motion
    both = torch.cat([new_joint, new_motion], dim=1)
    if mask == "fused":
        both = block.mask(both)
    for index, (j, m, z) in enumerate(
        zip(cells(new_joint[0]), cells(new_motion[0]), cells(both[0]), strict=True)
    ):
        expected_joint, expected_motion = masked(j, m, z)
        torch.testing.assert_close(got_joint.flatten(2)[0, :, index], torch.tensor(expected_joint))
        torch.testing.assert_close(
            got_motion.flatten(2)[0, :, index], torch.tensor(expected_motion)
        )


def test_a_literal_mask_exchanges_nothing_and_a_fused_one_does() -> None:
    for mask, exchanged in (("literal", False), ("fused", True)):
        torch.manual_seed(0)
        block = JointMotionInteraction(
            channels=4, attention="channel", attention_heads=2, mask=mask
        )
        stirred(block)
        joint, motion = torch.randn(2, 1, 4, 3, 5)
        masks = block.mask(torch.cat([joint, motion], dim=1))
        others = block.mask(torch.cat([joint, motion + 1], dim=1))
        assert (not torch.allclose(masks[:, :4], others[:, :4])) == exchanged


def test_the_head_reads_the_merged_features_of_the_last_layer() -> None:
    network = stirred(jmpose())
    out = network(**clips())
    merged = network.merge(torch.cat([out.joint[-1], out.motion[-1]], dim=1))  # Eq. 14
    torch.testing.assert_close(out.heatmaps, network.head(merged))


# Shapes


@each_variant
@pytest.mark.parametrize(("batch", "height", "width"), [(1, 7, 5), (2, 8, 6)])
def test_heatmaps_have_the_size_of_the_initial_ones(
    changes: dict[str, Any], batch: int, height: int, width: int
) -> None:
    network = jmpose(**changes)
    out = network(**clips(batch, height, width))
    assert out.heatmaps.shape == (batch, K, height, width)
    assert len(out.joint) == len(out.motion) == network.pairs
    for feature in (*out.joint, *out.motion):
        assert feature.shape == (batch, C, height, width)


def test_five_frames_are_read() -> None:
    network = stirred(jmpose(frames=5))
    inputs = clips(frames=5)
    heatmaps = network(**inputs).heatmaps
    for frame in range(5):
        others = inputs["heatmaps"].clone()
        others[:, frame] = 0
        assert not torch.allclose(network(**{**inputs, "heatmaps": others}).heatmaps, heatmaps)
    for step in range(4):
        others = inputs["flow"].clone()
        others[:, step] = 0
        assert not torch.allclose(network(**{**inputs, "flow": others}).heatmaps, heatmaps)


def test_the_papers_sizes_can_be_built() -> None:
    network = JMPose(
        joints=15,
        frames=5,
        channels=48,
        layers=4,
        offset_groups=12,
        dilation=3,
        attention="channel",
        attention_heads=8,
        jmib_mask="fused",
        motion="flow",
        aggregate="stacked",
    )
    with torch.no_grad():
        out = network.eval()(torch.rand(1, 5, 15, 12, 9), torch.randn(1, 4, 2, 12, 9))
    assert out.heatmaps.shape == (1, 15, 12, 9)
    assert network.pairs == 4


@each_variant
def test_order_of_the_batch_does_not_matter(changes: dict[str, Any]) -> None:
    network = stirred(jmpose(**changes))
    inputs = clips(3)
    flipped = {name: x.flip(0) for name, x in inputs.items()}
    torch.testing.assert_close(
        network(**inputs).heatmaps.flip(0), network(**flipped).heatmaps, rtol=1e-4, atol=1e-5
    )


def test_evaluation_is_deterministic_and_clips_do_not_see_one_another() -> None:
    network = stirred(jmpose())
    inputs = clips(3)
    first = network(**inputs).heatmaps
    assert torch.equal(first, network(**inputs).heatmaps)
    alone = network(**{name: x[1:2] for name, x in inputs.items()}).heatmaps
    torch.testing.assert_close(first[1:2], alone, rtol=1e-4, atol=1e-5)


# Switches


@pytest.mark.parametrize("switch", SWITCHES, ids=str)
def test_every_switch_changes_parameters_and_heatmaps(switch: dict[str, Any]) -> None:
    full, without = stirred(jmpose()), stirred(jmpose(**switch))
    shapes = [{n: p.shape for n, p in x.named_parameters()} for x in (full, without)]
    assert shapes[0] != shapes[1]
    inputs = clips()
    assert not torch.allclose(full(**inputs).heatmaps, without(**inputs).heatmaps)


def test_the_warped_head_is_the_stacked_one_on_warped_heatmaps() -> None:
    stacked, warped = stirred(jmpose()), stirred(jmpose(**WARPED))
    inputs = clips()
    moved = warp_to_key_frame(inputs["heatmaps"], inputs["flow"])
    assert names(stacked) == names(warped)
    expected = stacked(**inputs | {"heatmaps": moved}).heatmaps
    assert torch.equal(warped(**inputs).heatmaps, expected)
    assert not torch.allclose(expected, stacked(**inputs).heatmaps)


def test_without_motion_warped_and_stacked_are_the_same() -> None:
    still = clips() | {"flow": torch.zeros(2, T - 1, 2, 8, 6)}
    stacked, warped = stirred(jmpose()), stirred(jmpose(**WARPED))
    torch.testing.assert_close(warped(**still).heatmaps, stacked(**still).heatmaps)


@pytest.mark.parametrize(
    ("switch", "gone"),
    [
        ({"joint_learner": False}, ("learner",)),
        ({"mutual_learning": False}, ("interactions", "merge")),
        ({"interaction": False}, ("interactions",)),
        ({"layers": 1}, ("interactions.1",)),
        ({"jmib_mask": "literal"}, ("interactions.0.mask", "interactions.1.mask")),
    ],
)
def test_a_switch_removes_its_module(switch: dict[str, Any], gone: tuple[str, ...]) -> None:
    removed = names(jmpose()) - names(jmpose(**switch))
    for prefix in gone:
        assert any(name.startswith(prefix) for name in removed), prefix
    assert all(name.startswith(gone) for name in removed)


def test_pairs_for_the_information_loss_follow_table_6() -> None:
    assert jmpose().pairs == 2
    assert jmpose(interaction=False).pairs == 1
    assert jmpose(mutual_learning=False).pairs == 0
    network = stirred(jmpose(interaction=False))
    inputs = clips()
    motion = network.motion(inputs["flow"])
    joint = network.learner(network.aggregate(inputs["heatmaps"].flatten(1, 2)), motion)
    out = network(**inputs)
    torch.testing.assert_close(out.joint[0], joint)
    torch.testing.assert_close(out.motion[0], motion)


# Learning


def step(network: JMPose, criterion: JointMotionLoss, optimizer: torch.optim.Optimizer) -> float:
    inputs = clips()
    targets = torch.rand(2, K, 8, 6, generator=torch.Generator().manual_seed(3))
    out: JMPoseOutput = network(**inputs)
    terms = criterion(out, targets=targets, weights=torch.ones(2, K))
    optimizer.zero_grad()
    terms.total.backward()
    optimizer.step()
    return terms.heatmap.item()


def training(**changes: object) -> tuple[JMPose, JointMotionLoss, torch.optim.Optimizer]:
    network = jmpose(**changes)
    criterion = JointMotionLoss(
        joints=K, channels=C, layers=network.pairs, estimator="vsd", alpha=1e-4
    )
    parameters = [*network.parameters(), *criterion.parameters()]
    return network, criterion, torch.optim.AdamW(parameters, 5e-3)


@each_variant
def test_gradients_reach_every_parameter_after_one_step(changes: dict[str, Any]) -> None:
    network, criterion, optimizer = training(**changes)
    step(network, criterion, optimizer)
    step(network, criterion, optimizer)
    parameters = [*network.named_parameters(), *criterion.named_parameters()]
    still = [n for n, p in parameters if p.grad is None or not p.grad.any()]
    assert still == []


@pytest.mark.parametrize("changes", [{"layers": 1}, {"mutual_learning": False}], ids=str)
def test_one_batch_can_be_overfitted(changes: dict[str, Any]) -> None:
    network, criterion, optimizer = training(**changes)
    losses = [step(network, criterion, optimizer) for _ in range(60)]
    assert losses[-1] < 0.15 * losses[0]


def test_features_pass_a_fresh_interaction_almost_as_they_are() -> None:
    block = jmpose().interactions[0]
    torch.manual_seed(0)
    joint, motion = torch.rand(2, 2, C, 8, 6)
    share = torch.tensor(MASK_START).sigmoid()
    for feature, passed in zip((joint, motion), block(joint, motion), strict=True):
        torch.testing.assert_close(passed, share * feature, rtol=0.02, atol=0)


@pytest.mark.parametrize("frames", [3, 5])
def test_fresh_aggregation_is_a_mean_with_the_key_frame_counted_twice(frames: int) -> None:
    heatmaps = clips(frames=frames)["heatmaps"]
    block = jmpose(frames=frames).aggregate[0]
    expected = (heatmaps.sum(dim=1) + heatmaps[:, frames // 2]) / (frames + 1)
    torch.testing.assert_close(block.shortcut[0](heatmaps.flatten(1, 2)), expected)


def test_the_parts_that_training_watches_are_motion_and_joint_feature() -> None:
    network = stirred(jmpose(interaction=False))
    parts = network.parts()
    seen = {}
    for name, (module, read) in parts.items():
        module.register_forward_hook(
            lambda _module, _args, out, name=name, read=read: seen.update({name: read(out)})
        )
    inputs = clips()
    out = network(**inputs)
    torch.testing.assert_close(seen["joint"], out.joint[0])
    torch.testing.assert_close(seen["motion"], out.motion[0])


def test_fresh_motion_is_nowhere_zero() -> None:
    # The heatmaps come to the joint feature as factors of the motion: zero would hide them.
    network = jmpose()
    motion = network.motion(clips()["flow"])
    assert (motion > 0).float().mean() > 0.9


def test_offsets_start_at_zero_and_move() -> None:
    network, criterion, optimizer = training()
    learner = network.learner
    assert isinstance(learner, ContextAwareJointLearner)
    seen: list[Tensor] = []
    learner.offsets.register_forward_hook(lambda _module, _args, out: seen.append(out.detach()))
    for _ in range(5):
        step(network, criterion, optimizer)
    assert not seen[0].any()
    assert seen[-1].abs().max() > 0.01


def test_masks_matter() -> None:
    network = stirred(jmpose())
    learner = network.learner
    assert isinstance(learner, ContextAwareJointLearner)
    inputs = clips()
    heatmaps = network(**inputs).heatmaps
    hook = learner.masks.register_forward_hook(lambda _module, _args, out: torch.zeros_like(out))
    level = network(**inputs).heatmaps
    hook.remove()
    assert (heatmaps - level).abs().max() > 0.02 * heatmaps.abs().max()


# Refusals


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"attention": "cell"}, "attention is one of ('channel', 'spatial'), got 'cell'"),
        ({"jmib_mask": "none"}, "jmib_mask is one of ('fused', 'literal'), got 'none'"),
        ({"motion": "tokens"}, "motion is one of ('flow', 'features'), got 'tokens'"),
        ({"offset_groups": 3}, "offset_groups has to divide channels=8, got 3"),
        ({"attention_heads": 0}, "attention_heads has to divide channels=8, got 0"),
        ({"frames": 4}, "odd number of frames, 3 or more, got 4"),
        ({"frames": 1}, "odd number of frames, 3 or more, got 1"),
        ({"motion": "features"}, "feature_channels with motion='features', got None"),
        ({"aggregate": "sum"}, "aggregate is one of ('stacked', 'warped'), got 'sum'"),
        (FEATURES | WARPED, "aggregate='warped' needs motion='flow', got motion='features'"),
        ({"joint_learner": False, "mutual_learning": False}, "would not look at the motion"),
    ],
)
def test_wrong_arguments_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        jmpose(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"heatmaps": torch.rand(2, 3, 5, 8, 6)}, "(B, 3, 4, H, W), got (2, 3, 5, 8, 6)"),
        ({"flow": torch.rand(2, 3, 2, 8, 6)}, "flow (2, 2, 2, 8, 6), got (2, 3, 2, 8, 6)"),
        ({"flow": None}, "flow (2, 2, 2, 8, 6), got none"),
    ],
)
def test_other_shapes_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        jmpose()(**{**clips(), **changes})


def test_other_feature_shapes_are_refused() -> None:
    inputs = clips()
    message = re.escape("features (2, 3, 5, 8, 6), got (2, 3, 4, 8, 6)")
    with pytest.raises(ValueError, match=message):
        jmpose(**FEATURES)(inputs["heatmaps"], features=inputs["features"][:, :, :4])
