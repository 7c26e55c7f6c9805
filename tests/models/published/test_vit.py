"""ViTPose files of every naming scheme give the tokens of a literal ViTPose on their names."""

import pytest
import torch
from torch import Tensor
from transformers import VitPoseBackboneConfig, VitPoseConfig, VitPoseForPoseEstimation

from models.base.weights import load_weights
from models.published.vit import convert_vit, select_expert
from models.vit.network import ViTBackbone, build_vit
from tests.models.published.oracle_vit import MMPOSE, OFFICIAL, Names, tokens
from tests.models.published.random_tensors import Weights, fill_randomly, unused_tensors

WIDTH, HEADS, DEPTH, RATIO = 24, 4, 2, 3
SIZE = (64, 48)
SCHEMES = {"official": OFFICIAL, "mmpose 1.x": MMPOSE}
EXPERTS = ("coco", "aic", "mpii", "ap10k", "apt36k", "wholebody")
"""Order of the experts in the official tools/model_split.py."""


def network(epsilon: float) -> ViTBackbone:
    built = ViTBackbone(
        embed_dim=WIDTH,
        depth=DEPTH,
        num_heads=HEADS,
        mlp_ratio=RATIO,
        input_size=SIZE,
        epsilon=epsilon,
    )
    return built.double().eval()


def random_file(names: Names, positions: int) -> Weights:
    """Return a file of a tiny ViTPose with a heatmap head."""
    first, second, up, down = names.parts
    wide = RATIO * WIDTH
    layers = {names.patch: (WIDTH, 3, 16, 16), names.last: (WIDTH,)}
    for i in range(DEPTH):
        at = f"{names.block}.{i}"
        layers |= {
            f"{at}.{first}": (WIDTH,),
            f"{at}.attn.qkv": (3 * WIDTH, WIDTH),
            f"{at}.attn.proj": (WIDTH, WIDTH),
            f"{at}.{second}": (WIDTH,),
            f"{at}.{up}": (wide, WIDTH),
            f"{at}.{down}": (WIDTH, wide),
        }
    generator = torch.Generator().manual_seed(4)

    def values(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator).double() * 0.3

    file = {"backbone.pos_embed": values(1, positions, WIDTH)}
    for name, shape in layers.items():
        file |= {f"{name}.weight": values(*shape), f"{name}.bias": values(shape[0])}
    head = "keypoint_head" if names is OFFICIAL else "head"
    return file | {
        f"{head}.deconv_layers.0.weight": values(WIDTH, 8, 4, 4),
        f"{head}.final_layer.bias": values(17),
    }


def pictures() -> Tensor:
    return torch.rand(2, 3, *SIZE, generator=torch.Generator().manual_seed(5)).double()


def loaded(file: Weights) -> ViTBackbone:
    converted = convert_vit(file, "f.pth", input_size=SIZE)
    assert converted.layer_norm_epsilon is not None
    built = network(converted.layer_norm_epsilon)
    load_weights(built, converted.weights, "f.pth")
    return built


@pytest.mark.parametrize("wrapper", ["", "module."])
@pytest.mark.parametrize(("naming", "positions"), [("official", 13), ("mmpose 1.x", 12)])
def test_tokens_equal_those_of_the_file(naming: str, positions: int, wrapper: str) -> None:
    file = random_file(SCHEMES[naming], positions)
    wrapped = {wrapper + k: v for k, v in file.items()}

    assert convert_vit(wrapped, "f.pth", input_size=SIZE).naming == naming
    with torch.no_grad():
        expected = tokens(pictures(), file, SCHEMES[naming], HEADS)
        torch.testing.assert_close(loaded(wrapped)(pictures()), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("naming", "positions"), [("official", 13), ("mmpose 1.x", 12)])
def test_official_files_have_the_epsilon_of_their_code_for_inputs_of_low_variance(
    naming: str, positions: int
) -> None:
    file = random_file(SCHEMES[naming], positions)
    # Tokens of nearly equal channels: the variance is not large beside epsilon.
    for name in ("backbone.pos_embed", f"{SCHEMES[naming].patch}.weight"):
        file[name] = file[name] * 1e-3
    file[f"{SCHEMES[naming].patch}.bias"].fill_(0.1)
    built = loaded(file)
    other = network(1e-12)
    load_weights(other, dict(built.state_dict()), "f.pth")
    with torch.no_grad():
        expected = tokens(pictures(), file, SCHEMES[naming], HEADS)
        torch.testing.assert_close(built(pictures()), expected, rtol=1e-9, atol=1e-9)
        assert (other(pictures()) - expected).abs().max() > 1e-4


@pytest.mark.parametrize(("naming", "positions"), [("official", 13), ("mmpose 1.x", 12)])
def test_the_reference_depends_on_every_tensor(naming: str, positions: int) -> None:
    file = random_file(SCHEMES[naming], positions)
    body = {name: t for name, t in file.items() if name.startswith("backbone.")}
    assert unused_tensors(lambda w: tokens(pictures(), w, SCHEMES[naming], HEADS), body) == []


def test_the_class_token_slot_of_an_mmpose_file_is_dropped() -> None:
    file = random_file(MMPOSE, 13)
    own = file | {"backbone.pos_embed": file["backbone.pos_embed"][:, 1:]}
    with torch.no_grad():
        expected = tokens(pictures(), own, MMPOSE, HEADS)
        torch.testing.assert_close(loaded(file)(pictures()), expected, rtol=1e-9, atol=1e-9)


def test_a_transformers_model_gives_the_same_tokens() -> None:
    backbone = VitPoseBackboneConfig(
        image_size=SIZE,
        hidden_size=WIDTH,
        num_hidden_layers=DEPTH,
        num_attention_heads=HEADS,
        mlp_ratio=RATIO,
        out_indices=[DEPTH],
    )
    theirs = VitPoseForPoseEstimation(VitPoseConfig(backbone_config=backbone, num_labels=17)).eval()
    file = fill_randomly(theirs, seed=6)
    ours = loaded(file)

    with torch.no_grad():
        expected = theirs.backbone(ours.normalize(pictures())).feature_maps[-1]
        torch.testing.assert_close(ours(pictures()), expected, rtol=1e-6, atol=1e-7)


def test_the_table_lists_the_skipped_head_and_the_added_slot() -> None:
    table = convert_vit(random_file(MMPOSE, 12), "f.pth", input_size=SIZE).table
    lines = {line.description: (line.action, line.tensors) for line in table}
    assert lines["ViTPose's heatmap head, unused"] == ("skipped", 2)
    assert lines["query, key and value"] == ("split", 2 * DEPTH)
    assert lines["slot of the class token: zero in mmpose"] == ("added", 1)
    assert sum(line.tensors for line in table if line.action != "added") == len(
        random_file(MMPOSE, 12)
    )


@pytest.mark.parametrize("variant", ["vit_small", "vit_base", "vit_large", "vit_huge"])
def test_every_tensor_of_the_published_sizes_has_a_target(variant: str) -> None:
    with torch.device("meta"):
        ours = build_vit(variant, (256, 192)).state_dict()
        width = ours["backbone.layernorm.bias"].shape[0]
        depth = sum(name.endswith("fc1.bias") for name in ours)
        block = {
            "norm1": (width,),
            "attn.qkv": (3 * width, width),
            "attn.proj": (width, width),
            "norm2": (width,),
            "mlp.fc1": (4 * width, width),
            "mlp.fc2": (width, 4 * width),
        }
        layers = {
            f"blocks.{i}.{name}": shape for i in range(depth) for name, shape in block.items()
        }
        layers |= {"patch_embed.proj": (width, 3, 16, 16), "last_norm": (width,)}
        file = {"backbone.pos_embed": torch.empty(1, 193, width)}
        for name, shape in layers.items():
            file[f"backbone.{name}.weight"] = torch.empty(shape)
            file[f"backbone.{name}.bias"] = torch.empty(shape[0])

    weights = convert_vit(file, "f.pth", input_size=(256, 192)).weights

    assert {name: t.shape for name, t in weights.items()} == {
        name: t.shape for name, t in ours.items()
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"backbone.blocks.0.gamma": torch.zeros(1)}, "match no rule: backbone.blocks.0.gamma"),
        ({"backbone.blocks.0.mlp.experts.0.bias": torch.zeros(1)}, r"match no rule: .*experts"),
        ({"backbone.blocks.0.attn.qkv.bias": torch.zeros(71)}, r"3 equal parts, got .* \(71,\)"),
    ],
)
def test_an_unexpected_tensor_is_named(change: Weights, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        convert_vit(random_file(OFFICIAL, 13) | change, "f.pth", input_size=SIZE)


def test_positions_of_another_input_size_are_rejected() -> None:
    with pytest.raises(ValueError, match=r"12 tokens, those of 64 x 48 crops .* \(1, 50, 24\)"):
        loaded(random_file(OFFICIAL, 50))


def with_experts(file: Weights, names: Names, part: int = 6) -> Weights:
    """Return the file of a ViTPose+: every second layer of an MLP has six variants of last rows."""
    *_, down = names.parts
    generator = torch.Generator().manual_seed(7)
    plus = dict(file)
    for i in range(DEPTH):
        at = f"{names.block}.{i}"
        for kind in ("weight", "bias"):
            whole = plus[f"{at}.{down}.{kind}"]
            plus[f"{at}.{down}.{kind}"] = whole[:-part]
            plus[f"{at}.mlp.experts.0.{kind}"] = whole[-part:]
            for number in range(1, len(EXPERTS)):
                rows = torch.randn(whole[-part:].shape, generator=generator).double() * 0.3
                plus[f"{at}.mlp.experts.{number}.{kind}"] = rows
    return plus | {"associate_keypoint_heads.0.final_layer.bias": torch.zeros(16)}


def test_an_expert_of_an_official_vitpose_plus_gives_its_tokens() -> None:
    file = random_file(OFFICIAL, 13)
    plus = with_experts(file, OFFICIAL)
    plain, steps = select_expert(plus, "coco", "f.pth")
    other, _ = select_expert(plus, "mpii", "f.pth")
    with torch.no_grad():
        expected = tokens(pictures(), file, OFFICIAL, HEADS)
        torch.testing.assert_close(loaded(plain)(pictures()), expected, rtol=1e-9, atol=1e-9)
        assert (loaded(other)(pictures()) - expected).abs().max() > 0.1
    assert [(step.action, step.tensors) for step in steps] == [
        ("merged", 2 * DEPTH),
        ("skipped", 2 * DEPTH * 5),
    ]


@pytest.mark.parametrize(("number", "expert"), list(enumerate(EXPERTS)))
def test_every_expert_of_a_transformers_vitpose_plus_gives_its_tokens(
    number: int, expert: str
) -> None:
    backbone = VitPoseBackboneConfig(
        image_size=SIZE,
        hidden_size=WIDTH,
        num_hidden_layers=DEPTH,
        num_attention_heads=HEADS,
        mlp_ratio=RATIO,
        num_experts=6,
        part_features=6,
        out_indices=[DEPTH],
    )
    theirs = VitPoseForPoseEstimation(VitPoseConfig(backbone_config=backbone, num_labels=17)).eval()
    plain, _ = select_expert(fill_randomly(theirs, seed=6), expert, "f")
    ours = loaded(plain)
    with torch.no_grad():
        chosen = torch.full((2,), number)
        features = theirs.backbone(ours.normalize(pictures()), dataset_index=chosen)
        expected = features.feature_maps[-1]
        torch.testing.assert_close(ours(pictures()), expected, rtol=1e-6, atol=1e-7)


def test_the_coco_file_of_the_official_split_tool_is_used_as_it_is() -> None:
    file = random_file(OFFICIAL, 13)
    # The tool joins the rows and leaves all experts in this file.
    leftover = {n: t for n, t in with_experts(file, OFFICIAL).items() if ".experts." in n}
    plain, steps = select_expert(file | leftover, "coco", "f.pth")
    assert plain.keys() == file.keys()
    assert all(plain[name] is file[name] for name in file)
    assert [(step.action, step.tensors) for step in steps] == [
        ("merged", 0),
        ("skipped", 2 * DEPTH * 6),
    ]


def test_the_expert_must_be_chosen_by_name_and_only_for_vitpose_plus() -> None:
    file = random_file(OFFICIAL, 13)
    plus = with_experts(file, OFFICIAL)
    with pytest.raises(ValueError, match=r"f: expected an expert, one of \['coco', .*; choose it"):
        select_expert(plus, None, "f")
    with pytest.raises(ValueError, match="got halpe; choose it with --expert"):
        select_expert(plus, "halpe", "f")
    with pytest.raises(ValueError, match="found no experts in the file; omit --expert"):
        select_expert(file, "coco", "f")
    assert select_expert(file, None, "f") == (file, [])


def test_the_pose_network_inside_poseidon_is_converted() -> None:
    file = random_file(MMPOSE, 12)
    copies = {name: t for name, t in file.items() if name.startswith("backbone.")}
    body = {name.removeprefix("backbone."): t for name, t in copies.items()}
    poseidon = {
        **{f"model.{name}": t for name, t in file.items()},
        **copies,
        **{f"extract_layers.model.{name}": t for name, t in body.items()},
        "cross_attention.mha.in_proj_weight": torch.zeros(3),
    }
    with torch.no_grad():
        expected = tokens(pictures(), file, MMPOSE, HEADS)
        torch.testing.assert_close(loaded(poseidon)(pictures()), expected, rtol=1e-9, atol=1e-9)
    table = convert_vit(poseidon, "f.pth", input_size=SIZE).table
    skipped = {line.description: line.tensors for line in table if line.action == "skipped"}
    assert skipped["video model around the pose network, and copies of it"] == 2 * len(body) + 1


def test_dsta_is_refused_with_the_reason() -> None:
    file = {"preact.conv1.weight": torch.zeros(1), "Spatial_pos_embed": torch.zeros(1)}
    with pytest.raises(ValueError, match=r"f\.pth: DSTA is not supported: it regresses"):
        convert_vit(file, "f.pth", input_size=SIZE)
