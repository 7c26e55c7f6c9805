"""What lies in the scratch folder of a training run."""

from pathlib import Path

CHECKPOINT = "checkpoint.safetensors"
FINISHED = "finished"
"""File that marks a run's folder as published: its checkpoint may go."""
TIMINGS = "timings.csv"
"""Seconds per step; they stand here, for nothing that DVC tracks holds a clock."""

BEST = "best.safetensors"
"""Weights with the lowest loss on the held-out videos."""
RUN_FILES = (CHECKPOINT, BEST, TIMINGS, FINISHED)
"""Files that are of no use once the run is finished."""


def mark_finished(folder: Path) -> None:
    """Note that the results of a run were published; ``posereel gc`` may then remove its folder."""
    (folder / FINISHED).touch()
