"""Write rendered videos as PoseTrack18-style annotation files and JPEG frames.

Differences from PoseTrack18's own files: a hidden joint keeps its coordinates with flag 0, where
PoseTrack drops most of them, and every image says what is wrong with it in an extra field
``tag``, which official readers ignore.
"""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from pipeline.core.limbs import LIMBS
from pipeline.core.skeleton import SLOTS
from pipeline.synthetic.dataset import VideoSpec
from pipeline.synthetic.rendering import SyntheticVideo, render_video

_QUALITY = 95
_CATEGORY = {
    "supercategory": "person",
    "id": 1,
    "name": "person",
    "keypoints": list(SLOTS),
    "skeleton": [[SLOTS.index(name) + 1 for name in limb] for limb in LIMBS],
}


def _image_id(spec: VideoSpec, frame: int) -> int:
    """Return the id of a frame as PoseTrack18 forms it: 1, the video's number, the frame's."""
    return 10_000_000_000 + spec.seed * 10_000 + frame


def _image(spec: VideoSpec, video: SyntheticVideo, frame: int, split: str) -> dict[str, Any]:
    """Return the entry of a frame."""
    polygons = video.ignored[frame]
    return {
        "has_no_densepose": True,
        "is_labeled": bool(video.labeled[frame]),
        "file_name": f"images/{split}/{spec.name}/{frame:06d}.jpg",
        "nframes": spec.frames,
        "frame_id": _image_id(spec, frame),
        "id": _image_id(spec, frame),
        "vid_id": f"{spec.seed:06d}",
        "width": spec.width,
        "height": spec.height,
        "ignore_regions_x": [[x for x, _ in polygon] for polygon in polygons],
        "ignore_regions_y": [[y for _, y in polygon] for polygon in polygons],
        "tag": video.tags[frame],
    }


def _person(spec: VideoSpec, video: SyntheticVideo, frame: int, track: int) -> dict[str, Any]:
    """Return the entry of a person in a frame."""
    visible = video.visible[frame, track]
    points = np.where(visible[:, None] > 0, np.round(video.keypoints[frame, track], 3), 0.0)
    flagged = np.column_stack([points, visible == 2])
    keypoints = [
        int(value) if column == 2 else value
        for row in flagged.tolist()
        for column, value in enumerate(row)
    ]
    return {
        "bbox_head": np.round(video.head_boxes[frame, track], 3).tolist(),
        "keypoints": keypoints,
        "track_id": track,
        "image_id": _image_id(spec, frame),
        "bbox": np.round(video.boxes[frame, track], 3).tolist(),
        "scores": [],
        "category_id": 1,
        "id": _image_id(spec, frame) * 100 + track,
        "iscrowd": False,
        "num_keypoints": int((visible > 0).sum()),
    }


def annotations(spec: VideoSpec, video: SyntheticVideo, split: str) -> dict[str, Any]:
    """Return the content of a video's annotation file; only labeled frames hold people."""
    people = [
        _person(spec, video, frame, track)
        for frame in np.flatnonzero(video.labeled).tolist()
        for track in np.flatnonzero(video.present[frame]).tolist()
    ]
    images = [_image(spec, video, frame, split) for frame in range(spec.frames)]
    return {"images": images, "annotations": people, "categories": [_CATEGORY]}


def write_video(spec: VideoSpec, split: str, folder: Path) -> tuple[Path, ...]:
    """Render a video and write its files below a folder.

    The files are ``annotations/<split>/<video>.json`` and ``images/<split>/<video>/000000.jpg``
    and on; nothing else is read or written, and the bytes depend on the spec and split alone.

    Args:
        spec: The video.
        split: train or val.
        folder: The data set's folder, or any other that takes the files of this video.

    Returns:
        Paths of the written files, relative to the folder, sorted.

    Raises:
        OSError: If a file cannot be written.
    """
    video = render_video(spec)
    note = Path("annotations") / split / f"{spec.name}.json"
    pictures = Path("images") / split / spec.name
    for path in (folder / note.parent, folder / pictures):
        path.mkdir(parents=True, exist_ok=True)
    text = json.dumps(annotations(spec, video, split), separators=(",", ":"))
    (folder / note).write_text(text + "\n", encoding="utf-8")
    written = [note]
    for frame, image in enumerate(video.images):
        path = pictures / f"{frame:06d}.jpg"
        done, code = cv2.imencode(
            ".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
        )
        if not done:
            raise OSError(f"{folder / path}: expected OpenCV to encode a JPEG, it refused")
        (folder / path).write_bytes(code.tobytes())
        written.append(path)
    return tuple(sorted(written))
