"""Results of an ablation table: mean, spread and drop of every row, as JSON and as Markdown."""

from dataclasses import dataclass, replace
from math import sqrt
from statistics import mean, stdev
from typing import Any

from pipeline.ablation.row_order import order_note
from pipeline.ablation.tables import AblationRow
from pipeline.report.page import percent

T_975 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
"""97.5 % quantiles of Student's t for 1 to 9 degrees of freedom; beyond, the last is kept."""


@dataclass(frozen=True, slots=True)
class RowResult:
    """A row that was run."""

    row: AblationRow
    scores: tuple[float, ...]
    """Mean AP of every seed, percent."""

    @property
    def mean(self) -> float:
        """Mean over the seeds."""
        return mean(self.scores)

    @property
    def std(self) -> float | None:
        """Standard deviation over the seeds; None for one."""
        return stdev(self.scores) if len(self.scores) > 1 else None

    @property
    def ci95(self) -> float | None:
        """Half the width of the mean's 95 % interval by Student's t; None for one seed."""
        if self.std is None:
            return None
        quantile = T_975[min(len(self.scores) - 1, len(T_975)) - 1]
        return quantile * self.std / sqrt(len(self.scores))


@dataclass(frozen=True, slots=True)
class TableResult:
    """A table as far as it was run; its first row is the full method."""

    table: str
    preset: str
    rows: tuple[RowResult, ...] = ()

    def with_row(self, row: AblationRow, scores: list[float]) -> "TableResult":
        """Return the table with one more row."""
        return replace(self, rows=(*self.rows, RowResult(row, tuple(scores))))

    def drop(self, result: RowResult) -> float:
        """Return what a row loses against the full method, in points."""
        return self.rows[0].mean - result.mean

    def paper_drop(self, result: RowResult) -> float | None:
        """Return what the row loses in the paper; None where the paper prints no number."""
        full, own = self.rows[0].row.paper_mean, result.row.paper_mean
        return None if full is None or own is None else round(full - own, 1)


def as_json(result: TableResult) -> dict[str, Any]:
    """Return the table as data/ablations/<table>.json holds it; points and percent."""
    return {
        "table": result.table,
        "preset": result.preset,
        "rows": [
            {
                "row": each.row.name,
                "paper_mean": each.row.paper_mean,
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
    """Return the table as Markdown, and whether its order of rows is the paper's."""
    lines = [
        f"{result.table}, preset {result.preset}, val_gt",
        "",
        "| row | paper | paper drop | mean | std | drop | 95 % | seeds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for each in result.rows:
        cells = (
            each.row.paper_mean, result.paper_drop(each), each.mean, each.std, result.drop(each),
            each.ci95,
        )  # fmt: skip
        shown = " | ".join(map(percent, cells))
        lines.append(f"| {each.row.name} | {shown} | {len(each.scores)} |")
    order = order_note([(each.row.name, each.mean, each.row.paper_mean) for each in result.rows])
    return "\n".join([*lines, "", *([order, ""] if order else [])])
