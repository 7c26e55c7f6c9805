"""The shipped weights are small, finite, complete, documented by cards and accurate enough."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from models.base.weights import load_weights
from models.detection.network import build_detector
from models.hrnet.network import build_hrnet
from models.raft.network import build_raft, cells_from_pixels
from models.vit.network import build_vit
from pipeline.core.heatmap import decode
from pipeline.core.networks.weights import read_weights
from pipeline.synthetic.dataset import SEED_RANGES

SHIPPED = Path(__file__).resolve().parents[1] / "data/weights/synthetic"
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "hrnet": lambda: build_hrnet("tiny", 15),
    "vit": lambda: build_vit("tiny", (128, 96)),
    "raft_small": lambda: build_raft("raft_small", updates=2, scale=1.5),
    "detector": lambda: build_detector("tiny"),
}
THRESHOLDS = {
    "hrnet": ("map", 55),
    "vit": ("map", 40),
    "detector": ("recall", 0.85),
}


def card(name: str) -> dict[str, Any]:
    return json.loads((SHIPPED / f"{name}.json").read_text(encoding="utf-8"))


def shipped(name: str) -> nn.Module:
    network = NETWORKS[name]()
    path = SHIPPED / f"{name}.safetensors"
    load_weights(network, read_weights(path), path.name)
    return network


def test_all_weights_together_take_less_than_12_megabytes() -> None:
    files = sorted(SHIPPED.glob("*.safetensors"))

    assert [file.stem for file in files] == sorted(NETWORKS)
    assert sum(file.stat().st_size for file in files) < 12e6


@pytest.mark.parametrize("name", NETWORKS)
def test_weights_are_finite_float16_and_match_their_network_exactly(name: str) -> None:
    tensors = read_weights(SHIPPED / f"{name}.safetensors")

    floating = [t for t in tensors.values() if t.is_floating_point()]
    assert {t.dtype for t in floating} == {torch.float16}
    assert all(bool(t.isfinite().all()) for t in floating)
    network = shipped(name)
    assert set(network.state_dict()) == set(tensors)
    assert not network.training


@pytest.mark.parametrize("name", NETWORKS)
def test_a_card_documents_how_its_weights_were_made(name: str) -> None:
    facts = card(name)

    data = (SHIPPED / f"{name}.safetensors").read_bytes()
    assert facts["sha256"] == hashlib.sha256(data).hexdigest()
    assert facts["command"].startswith("python -m pretrain.")
    assert facts["steps"] > 0
    assert facts["samples"] == facts["steps"] * facts["params"]["fitting"]["batch"]
    assert facts["machine"]
    assert facts["held_out"]
    assert all(np.isfinite(value) for value in facts["held_out"].values())


@pytest.mark.parametrize("name", NETWORKS)
def test_no_network_was_pretrained_on_videos_that_heads_train_or_are_tested_on(name: str) -> None:
    seeds = card(name)["seeds"]
    seen = {s for first, last in seeds["videos"].values() for s in range(first, last + 1)}
    held_out = set(range(seeds["held_out"][0], seeds["held_out"][1] + 1))

    assert not seen & held_out
    for seed_range, span in SEED_RANGES.items():
        if not seed_range.startswith("pretrain_"):
            assert not (seen | held_out) & set(span), seed_range


@pytest.mark.parametrize(("name", "threshold"), THRESHOLDS.items())
def test_held_out_scores_reach_their_thresholds(name: str, threshold: tuple[str, float]) -> None:
    score, least = threshold

    assert card(name)["held_out"][score] >= least


def test_the_precision_of_the_detector_is_at_least_80_percent() -> None:
    assert card("detector")["held_out"]["precision"] >= 0.8


@pytest.mark.parametrize("gap", [1, 2, 3])
def test_flow_has_no_larger_error_than_dis_on_people_and_at_joints(gap: int) -> None:
    held_out = card("raft_small")["held_out"]

    for name in ("epe", "joints"):
        assert held_out[f"gap_{gap}_{name}"] <= held_out[f"gap_{gap}_dis_{name}"]


def test_flow_removes_half_of_the_error_at_joints_that_exact_flow_removes() -> None:
    held_out = card("raft_small")["held_out"]
    found, zero, exact = (held_out[f"gap_3_{name}joints"] for name in ("", "zero_", "exact_"))

    assert zero - found >= 0.5 * (zero - exact)


def texture(seed: int) -> NDArray[np.uint8]:
    """Return an image of soft blobs, larger than a crop."""
    noise = np.random.default_rng(seed).normal(0, 1, (160, 128, 3)).astype(np.float32)
    soft = cv2.GaussianBlur(noise, (0, 0), 2.5) + 2 * cv2.GaussianBlur(noise, (0, 0), 7)
    return np.asarray(np.clip(128 + 40 * soft / soft.std(), 0, 255), np.uint8)


@pytest.mark.parametrize(("dx", "dy"), [(4, 0), (0, -4), (-3, 2)])
def test_the_flow_of_a_shifted_image_is_the_shift(dx: int, dy: int) -> None:
    network = shipped("raft_small")
    picture = torch.from_numpy(texture(seed=5)).permute(2, 0, 1)[None]
    first = picture[..., 16:144, 16:112]
    second = picture[..., 16 - dy : 144 - dy, 16 - dx : 112 - dx]

    with torch.no_grad():
        cells = cells_from_pixels(network(first, second))

    inner = cells[0, :, 4:-4, 4:-4].flatten(1).median(dim=1).values
    torch.testing.assert_close(inner, torch.tensor([dx / 4, dy / 4]), atol=0.2, rtol=0)


def test_backbones_return_finite_values_for_a_black_crop() -> None:
    black = torch.zeros(1, 3, 128, 96)

    with torch.no_grad():
        heatmaps = shipped("hrnet")(black).heatmaps
        tokens = shipped("vit")(black)

    keypoints, _ = decode(heatmaps.numpy(), "quarter")
    assert np.isfinite(keypoints).all()
    assert heatmaps.abs().max() < 1
    assert tokens.isfinite().all()
