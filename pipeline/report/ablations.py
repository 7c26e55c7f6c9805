"""The report's section of ablations: every table that ``posereel ablate`` has written."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.ablation.row_order import order_note
from pipeline.report.page import Grid, PageSection, Row, percent

NOTE = (
    "Mean AP on val_gt, percent, over the trainings with different seeds; drop: points lost against"
    " the full method, the first row; 95 %: half the width of the mean's interval by Student's t."
    " The papers' numbers are theirs, on PoseTrack17, with their networks and boxes: the drops may"
    " be compared, the means may not. Written by `posereel ablate`."
)
_COLUMNS = ("row", "paper", "paper drop", "mean", "std", "drop", "95 %", "seeds")
_NUMBERS = ("paper_mean", "paper_drop", "mean", "std", "drop", "ci95")


def ablation_section(tables: Sequence[Mapping[str, Any]]) -> PageSection | None:
    """Return the section, or None where no table was run.

    Args:
        tables: Content of every data/ablations/<table>.json.
    """
    if not tables:
        return None
    grids = tuple(_grid(table) for table in tables)
    return PageSection("ablations", "Ablations", NOTE, tables=grids)


def _grid(table: Mapping[str, Any]) -> Grid:
    rows = [
        Row((row["row"], *(percent(row[name]) for name in _NUMBERS), str(row["n_seeds"])))
        for row in table["rows"]
    ]
    order = order_note([(row["row"], row["mean"], row["paper_mean"]) for row in table["rows"]])
    title = f"{table['table']}, preset {table['preset']}. {order}".rstrip()
    return Grid(_COLUMNS, tuple(rows), title)
