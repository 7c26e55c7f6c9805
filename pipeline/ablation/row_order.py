"""Compare the ranking of an ablation table's rows with the paper's ranking."""

from collections.abc import Sequence


def order_note(rows: Sequence[tuple[str, float, float | None]]) -> str:
    """Return one sentence that compares the ranking of the rows by mean AP with the paper's.

    Args:
        rows: Name, mean AP here and mean AP in the paper, per row.

    Returns:
        The sentence; empty if the paper has no number for a row, or there is only one row.
    """
    if any(paper is None for *_, paper in rows) or len(rows) < 2:
        return ""
    ours = [name for name, *_ in sorted(rows, key=lambda row: -row[1])]
    theirs = [name for name, *_ in sorted(rows, key=lambda row: -(row[2] or 0))]
    if ours == theirs:
        return "The rows rank as in the paper."
    return f"The order differs. Here: {' > '.join(ours)}. In the paper: {' > '.join(theirs)}."
