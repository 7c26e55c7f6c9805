"""Whether the rows of an ablation table stand in the order of the paper's."""

from collections.abc import Sequence


def order_note(rows: Sequence[tuple[str, float, float | None]]) -> str:
    """Say whether rows, best first, stand in the paper's order; empty without its numbers.

    Args:
        rows: Name of every row, its mean AP here and in the paper.
    """
    if any(paper is None for *_, paper in rows) or len(rows) < 2:
        return ""
    ours = [name for name, *_ in sorted(rows, key=lambda row: -row[1])]
    theirs = [name for name, *_ in sorted(rows, key=lambda row: -(row[2] or 0))]
    if ours == theirs:
        return "The rows, best first, stand in the paper's order."
    return f"The order differs. Here: {' > '.join(ours)}. In the paper: {' > '.join(theirs)}."
