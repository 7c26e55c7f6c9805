"""data/metrics/summary.json: the only file that DVC shows as metrics.

DVC gives every number in a metrics file a column of its own, and two per system do not fit a
terminal. The file therefore holds one text of two lines per system, which ``dvc metrics show``,
``dvc metrics diff`` and ``dvc exp show`` print in one column: mean AP with detected boxes above
mean AP with ground-truth boxes. The same values as numbers follow in a list, which DVC does not
print and the bar chart of ``dvc plots show`` reads.
"""

from collections.abc import Mapping
from typing import Any

BOXES = {"val": "detected", "val_gt": "ground truth"}
"""Source of the person boxes of each validation split."""
HEADING = "Boxes"
"""Column that says what the two lines are; its capital sorts it before the systems."""
DECIMALS = 2


def summarize(metrics: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the content of the summary.

    Args:
        metrics: Content of data/metrics/<system>.json by system.

    Returns:
        ``Boxes`` and the systems, each a text with one line per split, and ``mean_ap``, a list of
        ``system``, ``boxes`` and ``mean_ap`` in percent; None where no frame was scored.
    """
    means = {
        system: {split: splits[split]["ap_total"] for split in BOXES}
        for system, splits in metrics.items()
    }
    lines = {HEADING: list(BOXES.values())}
    lines |= {system: [_text(value) for value in of.values()] for system, of in means.items()}
    rows = [
        {"system": system, "boxes": BOXES[split], "mean_ap": value}
        for system, of in means.items()
        for split, value in of.items()
    ]
    return {name: "\n".join(texts) for name, texts in lines.items()} | {"mean_ap": rows}


def _text(value: float | None) -> str:
    return "-" if value is None else f"{value:.{DECIMALS}f}"
