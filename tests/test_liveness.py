"""The parts of the heads of the default run work: floors on the files of its commit."""

import json
from pathlib import Path
from typing import Any

import pytest

DATA = Path(__file__).resolve().parents[1] / "data"


def effects(system: str) -> dict[str, dict[str, float]]:
    values: dict[str, dict[str, float]] = read(f"liveness/{system}.json")
    return values


def mean_ap(system: str) -> float:
    return float(read(f"metrics/{system}.json")["val_gt"]["ap_total"])


def read(name: str) -> Any:  # noqa: ANN401  JSON
    return json.loads((DATA / name).read_text(encoding="utf-8"))


def test_the_enhanced_feature_of_vremd_differs_between_clips() -> None:
    assert effects("vremd")["F := another clip's"]["share"] >= 0.3


@pytest.mark.xfail(strict=True, reason="missed: 21.8 points below it (docs/results.md)")
def test_the_keypoint_stream_of_vremd_alone_is_within_15_points_of_its_baseline() -> None:
    alone = mean_ap("vremd") + effects("vremd")["H_k alone"]["change"]
    assert alone >= mean_ap("vit") - 15


def test_the_flow_of_another_clip_costs_jmpose_at_least_a_point() -> None:
    assert effects("jmpose")["flow of another clip"]["change"] <= -1
