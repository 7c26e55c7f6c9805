"""Means, confidence intervals and drops of ablation tables, against scipy and by hand."""

import numpy as np
import pytest
from scipy import stats

from pipeline.ablation.results import RowResult, TableResult, as_json, as_markdown


def full(*scores: float) -> RowResult:
    return RowResult("full", 86.4, scores)


def less(*scores: float) -> RowResult:
    return RowResult("less", 85.0, scores)


@pytest.mark.parametrize("seeds", range(2, 11))
def test_the_interval_equals_that_of_scipy(seeds: int) -> None:
    scores = np.random.default_rng(seeds).normal(60, 2, seeds)
    result = full(*scores)
    low, high = stats.t.interval(0.95, seeds - 1, loc=scores.mean(), scale=stats.sem(scores))
    assert result.ci95 == pytest.approx((high - low) / 2, rel=1e-3)


def test_one_seed_has_no_deviation_and_no_interval() -> None:
    row = as_json(TableResult("t", "p").with_row(full(60.0)))["rows"][0]
    assert row["std"] is None
    assert row["ci95"] is None
    assert row["n_seeds"] == 1


def test_drops_are_differences_from_the_first_row() -> None:
    table = TableResult("t", "p").with_row(full(60.0, 62.0)).with_row(less(58.0, 60.0))
    row = as_json(table)["rows"][1]
    assert set(row) == {
        "row", "paper_mean", "paper_drop", "mean", "std", "drop", "ci95", "n_seeds",
    }  # fmt: skip
    assert row["mean"] == 59
    assert row["drop"] == 2
    assert row["paper_drop"] == 1.4
    assert "| less | 85.0 | 1.4 | 59.0 | 1.4 | 2.0 |" in as_markdown(table)


def test_the_note_says_whether_the_rows_rank_as_in_the_paper() -> None:
    table = TableResult("t", "p").with_row(full(60.0))
    assert "The rows rank as in the paper." in as_markdown(table.with_row(less(59.0)))
    assert "The order differs. Here: less > full" in as_markdown(table.with_row(less(61.0)))
