"""Results of an ablation table: mean, standard deviation and drop per row, as JSON and Markdown."""

from dataclasses import dataclass, replace
from math import sqrt
from statistics import mean, stdev
from typing import Any

from pipeline.ablation.row_order import order_note
from pipeline.report.page import percent

T_975 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
"""97.5 % quantiles of Student's t for 1 to 9 degrees of freedom; the last one serves above 9."""


@dataclass(frozen=True, slots=True)
class RowResult:
    """Scores of one row."""

    name: str
    """Name of the row in the paper."""
    paper_mean: float | None
    """Mean AP that the paper reports, percent."""
    scores: tuple[float, ...]
    """Mean AP per seed, percent."""

    @property
    def mean(self) -> float:
        """Mean over the seeds, percent."""
        return mean(self.scores)

    @property
    def std(self) -> float | None:
        """Sample standard deviation over the seeds; None with one seed."""
        return stdev(self.scores) if len(self.scores) > 1 else None

    @property
    def ci95(self) -> float | None:
        """Half-width of the 95 % confidence interval of the mean; None with one seed."""
        if self.std is None:
            return None
        quantile = T_975[min(len(self.scores) - 1, len(T_975)) - 1]
        return quantile * self.std / sqrt(len(self.scores))


@dataclass(frozen=True, slots=True)
class TableResult:
    """The rows of a table that have results so far; the first row is the full method."""

    table: str
    preset: str
    rows: tuple[RowResult, ...] = ()

    def with_row(self, row: RowResult) -> "TableResult":
        """Return a copy of the table with one more row."""
        return replace(self, rows=(*self.rows, row))

    def drop(self, result: RowResult) -> float:
        """Return the drop of a row's mean AP from the full method, in points."""
        return self.rows[0].mean - result.mean

    def paper_drop(self, result: RowResult) -> float | None:
        """Return the drop of the row in the paper, in points; None if the paper has no number."""
        full, row = self.rows[0].paper_mean, result.paper_mean
        return None if full is None or row is None else round(full - row, 1)


def as_json(result: TableResult) -> dict[str, Any]:
    """Return the content of data/ablations/<table>.json; values in percent and points."""
    return {
        "table": result.table,
        "preset": result.preset,
        "rows": [
            {
                "row": each.name,
                "paper_mean": each.paper_mean,
                "paper_drop": result.paper_drop(each),
                "mean": each.mean,
                "std": each.std,
                "drop": result.drop(each),
                "ci95": each.ci95,
                "n_seeds": len(each.scores),
            }
            for each in result.rows
        ],
    }


def as_markdown(result: TableResult) -> str:
    """Return the table as Markdown, with a note that compares its row order with the paper's."""
    lines = [
        f"{result.table}, preset {result.preset}, val_gt",
        "",
        "| row | paper | paper drop | mean | std | drop | 95 % | seeds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for each in result.rows:
        cells = (
            each.paper_mean, result.paper_drop(each), each.mean, each.std, result.drop(each),
            each.ci95,
        )  # fmt: skip
        shown = " | ".join(map(percent, cells))
        lines.append(f"| {each.name} | {shown} | {len(each.scores)} |")
    note = order_note([(each.name, each.mean, each.paper_mean) for each in result.rows])
    return "\n".join([*lines, "", *([note, ""] if note else [])])
