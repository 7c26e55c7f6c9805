"""Gains of heads over their baselines and controls, on given scores."""

import numpy as np
import pytest

from benchmarks.gains import best_control, gains
from models.head_parts.lookup import comparisons, listed_systems
from pipeline.report.bootstrap import DrawnAP

SCORES = dict.fromkeys(listed_systems(), 40.0) | {
    "mean": 51.0, "fuse": 52.0, "warp": 53.0, "jmpose": 54.0, "fuse_vit": 50.0, "vremd": 54.0,
}  # fmt: skip
TABLE = {
    name: {system: score + extra for system, score in SCORES.items()}
    for name, extra in (("one", 0.0), ("two", 2.0))
}


def test_the_best_control_has_the_highest_mean_over_the_sets() -> None:
    assert best_control(TABLE, "jmpose") == "warp"
    table = {name: dict(row) for name, row in TABLE.items()}
    table["one"]["mean"] += 20
    assert best_control(table, "jmpose") == "mean"
    table["two"]["mean"] -= 20
    assert best_control(table, "jmpose") == "warp"


def test_every_head_is_compared_with_its_baseline_and_controls_and_warp_with_fuse() -> None:
    found = gains(TABLE, [])
    pairs = {
        f"{head} over {other}" for head, compared in comparisons().items() for other in compared
    }
    assert set(found) == pairs | {"warp over fuse"}
    assert found["warp over fuse"] == {"each": [1.0, 1.0], "mean": 1.0, "best_control": False}
    best = {pair for pair, gain in found.items() if gain["best_control"]}
    assert {"jmpose over warp", "vremd over fuse_vit"} <= best
    assert len(best) == len(comparisons())


def test_intervals_are_those_of_the_difference_over_the_draws_of_all_sets() -> None:
    """Each system has the same noise in a draw, which the difference removes."""
    random = np.random.default_rng(0)
    drawn = []
    for row in TABLE.values():
        noise = random.normal(0, 5, 200)
        drawn.append({name: DrawnAP(("v",), np.r_[ap, ap + noise]) for name, ap in row.items()})
    gain = gains(TABLE, drawn)["jmpose over fuse"]
    assert gain["mean"] == pytest.approx(2)
    assert gain["ci95"] == pytest.approx((2, 2))
