"""Section of the report with the tables that ``posereel ablate`` wrote."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.ablation.row_order import order_note
from pipeline.report.page import Grid, PageSection, Row, percent

NOTE = (
    "Mean AP on val_gt in percent, over trainings with different seeds. The drop is the difference"
    " from the full method, the first row. The column 95 % is half the width of the confidence"
    " interval of the mean (Student's t). The papers used PoseTrack17, other networks and other"
    " boxes: compare the drops, not the means. `posereel ablate` writes these tables."
)
_COLUMNS = {
    "paper_mean": "paper",
    "paper_drop": "paper drop",
    "mean": "mean",
    "std": "std",
    "drop": "drop",
    "ci95": "95 %",
}


def ablation_section(tables: Sequence[Mapping[str, Any]]) -> PageSection | None:
    """Return the section, or None if there is no table.

    Args:
        tables: Content of every data/ablations/<table>.json.
    """
    if not tables:
        return None
    grids = tuple(_grid(table) for table in tables)
    return PageSection("ablations", "Ablations", NOTE, tables=grids)


def _grid(table: Mapping[str, Any]) -> Grid:
    # A sweep has no row in a paper, and one training has no spread.
    shown = [name for name in _COLUMNS if any(row[name] is not None for row in table["rows"])]
    rows = [
        Row((row["row"], *(percent(row[name]) for name in shown), str(row["n_seeds"])))
        for row in table["rows"]
    ]
    order = order_note([(row["row"], row["mean"], row["paper_mean"]) for row in table["rows"]])
    title = f"{table['table']}, preset {table['preset']}. {order}".rstrip()
    columns = ("row", *(_COLUMNS[name] for name in shown), "seeds")
    return Grid(columns, tuple(rows), title)
