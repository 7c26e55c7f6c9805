"""Ids for people through a video: each box goes on with the track that it overlaps most."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.geometry.boxes import iou

OVERLAP = 0.3
"""Least intersection over union of a box and the last box of its track."""
PATIENCE = 15
"""Frames that a track waits for its person to come back."""


class _Track(NamedTuple):
    id: int
    frame: int
    box: NDArray[np.float64]


def assign_track_ids(
    frames: NDArray[np.int64], boxes_xywh: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Return an id for every box, from 0 on in the order of appearance.

    Pairs of tracks and boxes are joined greedily, largest overlap first; a box that overlaps no
    waiting track begins a new one.

    Args:
        frames: Frame of every box, ``(N,)``, not falling.
        boxes_xywh: Image pixels, ``(N, 4)``.
    """
    ids = np.full(len(frames), -1, np.int64)
    tracks: list[_Track] = []
    count = 0
    for frame in np.unique(frames):
        rows = np.flatnonzero(frames == frame)
        tracks = [track for track in tracks if frame - track.frame <= PATIENCE]
        for track, row in _pairs(tracks, boxes_xywh, rows):
            ids[row] = tracks[track].id
        for row in rows[ids[rows] < 0]:
            ids[row], count = count, count + 1
        seen = [_Track(int(ids[row]), int(frame), boxes_xywh[row]) for row in rows]
        own = {track.id for track in seen}
        tracks = [track for track in tracks if track.id not in own] + seen
    return ids


def _pairs(
    tracks: list[_Track], boxes_xywh: NDArray[np.float64], rows: NDArray[np.intp]
) -> list[tuple[int, int]]:
    """Return which track goes on with which box, each at most once."""
    if not tracks:
        return []
    overlap = iou(np.stack([track.box for track in tracks]), boxes_xywh[rows])
    found: list[tuple[int, int]] = []
    for place in np.argsort(-overlap, axis=None, kind="stable"):
        track, box = np.unravel_index(place, overlap.shape)
        if overlap[track, box] < OVERLAP:
            break
        if all(track != t and rows[box] != r for t, r in found):
            found.append((int(track), int(rows[box])))
    return found
