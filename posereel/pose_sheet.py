"""Pictures of people with the poses of two systems, as ``posereel show-poses`` draws them."""

from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.core.data_set import read_data_set
from pipeline.report.labeled_frames import frame_reader
from pipeline.report.run_results import read_results, read_truths
from pipeline.report.showcase import describe_person, most_changed, side_by_side

GAP = 8
"""White pixels between people."""


def pose_sheet(
    baseline: str,
    head: str,
    kind: Literal["improved", "worsened", "worst"],
    count: int,
    *,
    params: Path,
    data: Path,
) -> tuple[NDArray[np.uint8], list[str]]:
    """Return people of the split ``val_gt``, each as labels, baseline and head side by side.

    Args:
        baseline: The system in the middle.
        head: The system on the right.
        kind: Which people: those that the head improves most, worsens most, or finds least of.
        count: Number of people.
        params: The params file.
        data: Folder of all outputs.

    Returns:
        RGB picture ``(H, W, 3)`` and the video and frame of every person.

    Raises:
        ValueError: If a result is missing, or there is no such person.
    """
    data_set = read_data_set(params)
    truths = read_truths(data, Path(data_set.annotations))
    matches = read_results(data, truths, (baseline, head)).matches["val_gt"]
    people = most_changed(matches[head], matches[baseline], count)[kind].tolist()
    if not people:
        raise ValueError(f"expected people that {head} {kind} over {baseline}, found none")
    read_image = frame_reader(data, Path(data_set.root))
    shown = {baseline: matches[baseline], head: matches[head]}
    pictures = [side_by_side(shown, person, read_image) for person in people]
    space = np.full((pictures[0].shape[0], GAP, 3), 255, np.uint8)
    parts = [part for picture in pictures for part in (picture, space)][:-1]
    return np.hstack(parts), [describe_person(matches[head].pool, person) for person in people]
