"""Render a video: pictures and labels of every frame, from nothing but its spec.

The calls that others use:

- ``render_video(spec)`` returns pictures and labels of a video;
- ``pipeline.synthetic.motion.exact_flow(spec, frame)`` returns the flow to the next frame.

Shapes: T frames, P people with labels, H x W pixels.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.synthetic.dataset import VideoSpec
from pipeline.synthetic.labels import Polygon, frame_labels, ignored, overlap
from pipeline.synthetic.painting import photograph
from pipeline.synthetic.scene import build_scene

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SyntheticVideo:
    """Pictures and labels of a video; people's columns are their track ids.

    Attributes:
        images: RGB uint8, ``(T, H, W, 3)``.
        keypoints: xy in pixels, pixel centers at integers, ``(T, P, 17, 2)``; exact also where a
            joint is hidden or outside the picture, 0 for the ears.
        visible: ``(T, P, 17)``: 0 none or outside the picture, 1 hidden, 2 seen.
        boxes: xywh in pixels, ``(T, P, 4)``: the labeled joints' extent times 1.3, as in
            PoseTrack18's files, cut at the picture's edges; 0 where absent.
        head_boxes: xywh in pixels, ``(T, P, 4)``; not cut.
        present: Whether the person is labeled in that frame, ``(T, P)``.
        tags: What is wrong with each frame: clean, blurred, covered or crossing.
        labeled: Whether each frame is labeled, ``(T,)``.
        ignored: Polygons per frame around people without labels.
    """

    images: NDArray[np.uint8]
    keypoints: Array
    visible: NDArray[np.uint8]
    boxes: Array
    head_boxes: Array
    present: NDArray[np.bool_]
    tags: tuple[str, ...]
    labeled: NDArray[np.bool_]
    ignored: tuple[tuple[Polygon, ...], ...]


_CROSSING = 0.58
"""Two boxes whose intersection over union is larger belong to people who cross."""


def render_video(spec: VideoSpec) -> SyntheticVideo:
    """Render a video; the same spec gives the same bytes."""
    scene = build_scene(spec)
    images, labels, tags = [], [], []
    for frame, fault in enumerate(scene.faults):
        image, parts = photograph(scene, frame)
        found = frame_labels(scene, frame, parts)
        crossing = fault.tag == "clean" and overlap(found.boxes[found.present]) > _CROSSING
        images.append(image)
        labels.append(found)
        tags.append("crossing" if crossing else fault.tag)
    keypoints, visible, boxes, head_boxes, present = (
        np.stack(column) for column in zip(*labels, strict=True)
    )
    return SyntheticVideo(
        images=np.stack(images),
        keypoints=keypoints,
        visible=visible,
        boxes=boxes,
        head_boxes=head_boxes,
        present=present,
        tags=tuple(tags),
        labeled=np.array([spec.labeled(frame) for frame in range(spec.frames)]),
        ignored=tuple(ignored(scene, frame) for frame in range(spec.frames)),
    )
