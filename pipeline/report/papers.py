"""AP from the tables of the two papers, in percent, quoted beside our results."""

from dataclasses import dataclass

COLUMNS = ("Head", "Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle", "Mean")


@dataclass(frozen=True, slots=True)
class PaperRow:
    """One row of a paper's table."""

    method: str
    """The method as the paper names it, and the table that contains the row."""
    values: tuple[float | None, ...]
    """In the order of ``COLUMNS``; None where the paper gives no number."""


def _only_mean(mean: float) -> tuple[float | None, ...]:
    return (None,) * 7 + (mean,)


PAPER_ROWS: dict[str, tuple[PaperRow, ...]] = {
    "posetrack17": (
        PaperRow(
            "HRNet (JM-Pose, table 1)",
            (82.1, 83.6, 80.4, 73.3, 75.5, 75.3, 68.5, 77.3),
        ),
        PaperRow(
            "JM-Pose (JM-Pose, table 1)",
            (90.7, 91.6, 87.8, 82.1, 85.9, 85.3, 79.2, 86.4),
        ),
        PaperRow("ViT and head (VREMD, table 4)", _only_mean(80.2)),
        PaperRow("VREMD (VREMD, table 1)", (89.9, 91.4, 88.8, 84.8, 88.5, 87.8, 81.0, 87.6)),
    ),
    "posetrack18": (
        PaperRow(
            "JM-Pose (JM-Pose, table 2)",
            (86.6, 88.7, 86.0, 81.6, 83.3, 83.2, 78.2, 84.1),
        ),
        PaperRow("VREMD (VREMD, table 2)", (86.7, 89.3, 85.6, 82.1, 85.0, 83.9, 79.3, 84.6)),
    ),
    "posetrack21": (
        PaperRow(
            "JM-Pose (JM-Pose, table 3)",
            (85.8, 88.1, 85.7, 82.5, 84.1, 83.1, 78.5, 84.0),
        ),
        PaperRow("VREMD (VREMD, table 3)", (87.2, 89.1, 85.2, 82.4, 85.1, 83.4, 79.2, 84.5)),
    ),
}
"""Rows by data set. The papers use their own boxes (JM-Pose: DetectoRS; VREMD does not say)."""


def paper_rows(dataset: str) -> tuple[PaperRow, ...]:
    """Return the papers' rows to show beside a data set's table.

    Args:
        dataset: ``data.name``. Other data sets than PoseTrack get the rows of PoseTrack17, the
            papers' main tables.
    """
    return PAPER_ROWS.get(dataset, PAPER_ROWS["posetrack17"])
