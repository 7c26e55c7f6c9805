"""The trained head is alive: HKME depends on the clip, and its masks matter."""

import math
from pathlib import Path

import pytest
import torch
from torch import nn

from models.heads.vremd.objective import VREMDObjective
from models.heads.vremd.standardization import TokenStandardization
from models.heads.vremd.transformer import sine_cosine_embedding
from pipeline.training.collapse import across_clip_share, report_collapse
from pipeline.training.declarations import groups_of
from tests.models.heads.vremd.learnable_clips import build, make_clips, run

OLD = {"keypoint_loss": 0.0, "position_scale": 0.0, "transformer_rate": 1.0}
"""Settings with which HKME collapsed, together with tokens as they are."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[VREMDObjective, dict[str, float]]:
    objective = build()
    history = run(objective, tmp_path_factory.mktemp("run"))
    return objective, history.last_shares()


def test_the_enhanced_feature_and_the_joint_tokens_differ_between_clips(
    trained: tuple[VREMDObjective, dict[str, float]],
) -> None:
    _, shares = trained
    assert shares["enhanced"] >= 0.3
    # Most of their deviation is that between joints.
    assert shares["joint_tokens"] >= 0.05


@pytest.mark.parametrize("missing", ["human_mask", "keypoint_mask"])
def test_a_mask_replaced_by_1_moves_the_output_of_the_trained_module(
    missing: str, trained: tuple[VREMDObjective, dict[str, float]]
) -> None:
    head = trained[0].head
    features = head.project(head.standardize(make_clips()["tokens"][:8]))
    mask = head.hkme.get_submodule(missing)
    with torch.no_grad():
        with_mask = head.hkme(features)[0]
        mask.enabled = False
        with_ones = head.hkme(features)[0]
        mask.enabled = True
    assert (with_mask - with_ones).norm() > 0.05 * with_mask.norm()


def test_the_settings_without_the_remedies_collapse_and_are_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for factor in ("_SHARPNESS", "_CONTENT"):  # Sharp attention is one of the remedies.
        monkeypatch.setattr(f"models.heads.vremd.human_keypoint_mask.{factor}", 1.0)
    objective = build(**OLD)
    shares = run(objective, tmp_path, standardize=False).last_shares()
    assert shares["enhanced"] < 0.1
    assert shares["joint_tokens"] < 0.01
    lines = [line for line in capsys.readouterr().err.splitlines() if "collapsed" in line]
    assert len(lines) == 1
    assert "joint_tokens" in lines[0]


def test_every_parameter_has_one_rate_and_the_transformers_their_own() -> None:
    head = build(transformer_rate=0.25).head
    groups = groups_of(head)
    names = {id(parameter): name for name, parameter in head.named_parameters()}
    found = [names[id(parameter)] for _, parameters in groups for parameter in parameters]
    assert sorted(found) == sorted(names.values())
    rates = {names[id(parameter)]: rate for rate, parameters in groups for parameter in parameters}
    assert {rates[name] for name in rates if name.startswith(("decoder", "keypoint_head"))} == {1.0}
    assert {rates[name] for name in rates if name.startswith(("hkme", "bmd", "project"))} == {0.25}


def test_the_loss_of_h_k_is_added_with_its_weight() -> None:
    objective, batch = build(keypoint_loss=3.0), make_clips()
    streams = objective.head.streams(batch["tokens"])
    terms = objective(batch)
    target = batch["target"]
    expected = 3 * (streams.keypoint - target).square().mean()
    torch.testing.assert_close(terms["keypoint"], expected)
    torch.testing.assert_close(
        terms["heatmap"], ((streams.motion + streams.keypoint) / 2 - target).square().mean()
    )
    assert build(keypoint_loss=0.0)(batch).keys() == {"heatmap"}
    assert build(hkme=False)(batch).keys() == {"heatmap"}


def test_statistics_are_those_of_numpy_and_part_of_the_weights() -> None:
    tokens = make_clips()["tokens"]
    standardize = TokenStandardization(tokens=48, channels=32)
    standardize.fit([tokens[:40], tokens[40:]])
    values = tokens.double().flatten(0, 1).numpy()
    expected = (values - values.mean(axis=0)) / values.std(axis=0)
    found = standardize(tokens).flatten(0, 1).double()
    torch.testing.assert_close(found, torch.from_numpy(expected), atol=1e-4, rtol=1e-4)
    assert {"standardize.mean", "standardize.std"} <= build().head.state_dict().keys()


def test_a_constant_channel_stays_small() -> None:
    tokens = torch.randn(16, 3, 4, 2, generator=torch.Generator().manual_seed(0))
    tokens[..., 1] = 7
    standardize = TokenStandardization(tokens=4, channels=2)
    standardize.fit([tokens])
    assert torch.equal(standardize(tokens)[..., 1], torch.zeros(16, 3, 4))
    assert standardize(tokens + 0.01)[..., 1].abs().max() < 2


def test_statistics_of_no_clip_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one clip, got 0 frames"):
        TokenStandardization(tokens=4, channels=2).fit([])


def test_the_positional_embedding_is_that_of_the_transformer_along_both_axes() -> None:
    found = sine_cosine_embedding((2, 3), 8)
    for row in range(2):
        for column in range(3):
            expected = [
                wave(place / 100 ** (index / 2))
                for place in (row, column)
                for wave in (math.sin, math.cos)
                for index in range(2)
            ]
            torch.testing.assert_close(found[3 * row + column], torch.tensor(expected))
    with pytest.raises(ValueError, match="that 4 divides, got 6"):
        sine_cosine_embedding((2, 3), 6)


def test_the_share_is_0_for_one_output_and_1_for_outputs_without_a_common_part() -> None:
    assert across_clip_share(torch.randn(1, 5, 4).expand(8, -1, -1)) == pytest.approx(0, abs=1e-6)
    around_zero = torch.tensor([-1.0, 1.0, -1.0, 1.0])[:, None].expand(-1, 6)
    assert across_clip_share(around_zero) == pytest.approx(1)
    assert math.isnan(across_clip_share(torch.randn(1, 3)))


def test_only_parts_below_the_floor_are_reported(capsys: pytest.CaptureFixture[str]) -> None:
    report_collapse("train_x", {"alive": 0.2, "alone": math.nan})
    assert capsys.readouterr().err == ""
    report_collapse("train_x", {"alive": 0.2, "dead": 0.004})
    assert capsys.readouterr().err.startswith("train_x: collapsed, the same for every clip: dead")


def test_networks_without_declarations_have_one_group() -> None:
    ((rate, parameters),) = groups_of(nn.Linear(2, 3))
    assert rate == 1
    assert len(parameters) == 2
