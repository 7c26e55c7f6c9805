"""Tracking by overlap: each box continues the track with the largest intersection over union."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.core.geometry.boxes import iou

MIN_IOU = 0.3
"""Minimum intersection over union of a box and the last box of its track."""
MAX_GAP = 15
"""Maximum number of frames between two boxes of a track."""


class _Track(NamedTuple):
    id: int
    frame: int
    box: NDArray[np.float64]


def assign_track_ids(
    frames: NDArray[np.int64], boxes_xywh: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Return a track id for every box, numbered from 0 in order of appearance.

    Tracks and boxes are matched greedily, by decreasing overlap. A box without a match starts a new
    track.

    Args:
        frames: Frame of every box, non-decreasing, ``(N,)``.
        boxes_xywh: Boxes in image pixels, ``(N, 4)``.
    """
    ids = np.full(len(frames), -1, np.int64)
    tracks: list[_Track] = []
    count = 0
    for frame in np.unique(frames):
        rows = np.flatnonzero(frames == frame)
        tracks = [track for track in tracks if frame - track.frame <= MAX_GAP]
        for track, row in _match(tracks, boxes_xywh, rows):
            ids[row] = tracks[track].id
        for row in rows[ids[rows] < 0]:
            ids[row], count = count, count + 1
        current = [_Track(int(ids[row]), int(frame), boxes_xywh[row]) for row in rows]
        continued = {track.id for track in current}
        tracks = [track for track in tracks if track.id not in continued] + current
    return ids


def _match(
    tracks: list[_Track], boxes_xywh: NDArray[np.float64], rows: NDArray[np.intp]
) -> list[tuple[int, int]]:
    """Return matched pairs of track and row; each occurs at most once."""
    if not tracks:
        return []
    overlap = iou(np.stack([track.box for track in tracks]), boxes_xywh[rows])
    found: list[tuple[int, int]] = []
    for place in np.argsort(-overlap, axis=None, kind="stable"):
        track, box = np.unravel_index(place, overlap.shape)
        if overlap[track, box] < MIN_IOU:
            break
        if all(track != t and rows[box] != r for t, r in found):
            found.append((int(track), int(rows[box])))
    return found
