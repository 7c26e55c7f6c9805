"""Select the people whose predictions changed most between two systems, and draw them.

The measure is the share of a person's joints that PoseTrack AP counts as correct.
"""

from collections.abc import Callable
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.metrics.posetrack_ap import Matches
from pipeline.evaluation.metrics.posetrack_pool import Pool
from pipeline.report.drawing import draw_caption, draw_pose

Kind = Literal["improved", "worsened", "worst"]
ReadImage = Callable[[str, int], NDArray[np.uint8]]
"""Returns the frame ``(H, W, 3)``, RGB, of a video by its position in the annotation file."""
LEAST_JOINTS = 8
"""People with fewer labeled joints are not selected."""
HEIGHT = 200
"""Height of every panel, in pixels."""
MARGIN = 0.3
"""Margin around a person's joints, as a share of their extent."""


def found_share(matches: Matches) -> NDArray[np.float64]:
    """Return the share of correct joints of every ground-truth person, ``(G,)``, within [0, 1].

    People without labeled joints have NaN.
    """
    truth = matches.pool.truth
    found = np.zeros(len(truth.frame))
    assigned = matches.partner >= 0
    hits = (matches.correct & matches.pool.predicted.exists).sum(axis=1)
    found[matches.partner[assigned]] = hits[assigned]
    labeled = truth.exists.sum(axis=1)
    return np.where(labeled > 0, found / np.maximum(labeled, 1), np.nan)


def most_changed(head: Matches, baseline: Matches, count: int) -> dict[Kind, NDArray[np.int64]]:
    """Select the people that a head improved most, worsened most, and predicts worst.

    Args:
        head: Matches of the head.
        baseline: Matches of its baseline on the same frames.
        count: Number of people of each kind.

    Returns:
        Rows of ground-truth people by kind: ``improved``, ``worsened``, ``worst``. Ties keep the
        order of the data set.
    """
    rows = np.flatnonzero(head.pool.truth.exists.sum(axis=1) >= LEAST_JOINTS)
    share = found_share(head)[rows]
    change = share - found_share(baseline)[rows]
    improved = rows[np.argsort(-change, kind="stable")][: min(count, int((change > 0).sum()))]
    worsened = rows[np.argsort(change, kind="stable")][: min(count, int((change < 0).sum()))]
    worst = rows[np.argsort(share, kind="stable")][:count]
    return {"improved": improved, "worsened": worsened, "worst": worst}


def describe_person(pool: Pool, person: int) -> str:
    """Return the video and frame of a ground-truth person."""
    frame = int(pool.truth.frame[person])
    return f"{pool.names[pool.video[frame]]}, frame {pool.entry[frame]}"


def side_by_side(
    systems: dict[str, Matches],
    person: int,
    read_image: ReadImage,
) -> NDArray[np.uint8]:
    """Return one person in a row of panels: the labels, then the joints of every system.

    Args:
        systems: Matches by system, on the same ground truth.
        person: Row of the ground-truth person.
        read_image: Reads a frame.

    Returns:
        Image ``(HEIGHT, W, 3)``, RGB.
    """
    pool = next(iter(systems.values())).pool
    truth, frame = pool.truth, int(pool.truth.frame[person])
    image = read_image(pool.names[pool.video[frame]], int(pool.entry[frame]))
    labeled = truth.exists[person]
    joints = truth.joints[person]
    window = _window(joints[labeled], image.shape[:2])
    flags = np.where(labeled, 1 + truth.visible[person], 0)
    panels = [_panel(image, window, joints, flags, "labels")]
    for name, matches in systems.items():
        rows = np.flatnonzero(matches.partner == person)
        predicted = matches.pool.predicted
        places = predicted.joints[rows[0]] if len(rows) else joints
        seen = 2 * predicted.exists[rows[0]] if len(rows) else np.zeros(len(joints), np.int64)
        panels.append(_panel(image, window, places, seen, name))
    return np.hstack(panels)


def _window(joints: NDArray[np.float64], shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of the part of the image around a person's joints."""
    low, high = joints.min(axis=0), joints.max(axis=0)
    pad = MARGIN * max(*(high - low), 16.0)
    left, top = np.floor(low - pad).astype(int).clip(0, None)
    right, bottom = np.minimum(np.ceil(high + pad).astype(int) + 1, (shape[1], shape[0]))
    return int(left), int(top), int(max(right, left + 2)), int(max(bottom, top + 2))


def _panel(
    image: NDArray[np.uint8],
    window: tuple[int, int, int, int],
    joints: NDArray[np.float64],
    flags: NDArray[np.int64],
    caption: str,
) -> NDArray[np.uint8]:
    left, top, right, bottom = window
    part = image[top:bottom, left:right]
    scale = HEIGHT / max(part.shape[0], 1)
    width = max(round(part.shape[1] * scale), 1)
    shown = cv2.resize(part, (width, HEIGHT), interpolation=cv2.INTER_LINEAR)
    # Pixel centers are at integers, so resizing shifts them by half a pixel.
    places = (joints - (left, top) + 0.5) * scale - 0.5
    return draw_caption(draw_pose(np.asarray(shown, np.uint8), places, flags), caption)
