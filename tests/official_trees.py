"""Small data sets in the layouts of the official archives, with one video per split."""

import json
from pathlib import Path
from typing import Any

import cv2

from tests.posetrack_documents import as_2017
from tests.small_data_set import document, picture, write_json

LAYOUTS = ("posetrack17", "posetrack18", "posetrack21", "coco_video")
VIDEOS = {"train": 1, "val": 3}
FRAMES = 5


def _frame_name(layout: str, split: str, number: int) -> str:
    """Return a frame's path: 8 digits from 1 in PoseTrack17, 6 digits from 0 in later releases."""
    if layout == "posetrack17":
        return f"images/bonn_5sec/v{VIDEOS[split]}/{number + 1:08d}.jpg"
    return f"images/{split}/v{VIDEOS[split]}/{number:06d}.jpg"


def labels(layout: str, split: str) -> dict[str, Any]:
    """Return the annotation file of a split's only video, in the format of the layout."""
    content = document(split, VIDEOS[split])
    for number, image in enumerate(content["images"]):
        image["file_name"] = _frame_name(layout, split, number)
        image |= {"ignore_regions_x": [], "ignore_regions_y": []}
        if layout == "posetrack21":
            image["has_labeled_person"] = image["is_labeled"]
            del image["height"], image["width"]
    if layout == "posetrack17":
        # The official files also list unlabeled frames, and mark which frames are labeled.
        return as_2017(content, truth=True)
    return content


def _as_coco_video(content: dict[str, Any], split: str) -> dict[str, Any]:
    for image in content["images"]:
        del image["vid_id"], image["nframes"]
        image["video_id"] = VIDEOS[split]
    for person in content["annotations"]:
        person["instance_id"] = person.pop("track_id")
    # A second video, so that the reader has to split the file.
    other = document(split, 7, labeled=(0,))
    for number, image in enumerate(other["images"]):
        del image["vid_id"], image["nframes"]
        image |= {"video_id": 7, "file_name": f"images/{split}/v7/{number:06d}.jpg"}
    return {
        "videos": [{"id": number, "name": f"v{number}"} for number in (VIDEOS[split], 7)],
        "images": content["images"] + other["images"],
        "annotations": content["annotations"] + other["annotations"],
        "categories": content["categories"],
    }


def write_tree(root: Path, layout: str) -> None:
    """Write annotations and images of a data set."""
    folder = {"posetrack21": "posetrack_data"}.get(layout, "annotations")
    for split, video in VIDEOS.items():
        content = labels(layout, split)
        names = [_frame_name(layout, split, number) for number in range(FRAMES)]
        if layout == "coco_video":
            write_json(root / folder / f"{split}.json", _as_coco_video(content, split))
            names += [f"images/{split}/v7/{number:06d}.jpg" for number in range(FRAMES)]
        else:
            write_json(root / folder / split / f"v{video}.json", content)
        for number, name in enumerate(names):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(root / name), picture(video, number % FRAMES))


def replace_text(path: Path, old: str, new: str) -> None:
    """Replace text in an annotation file; the text must occur in it."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def read_json(path: Path) -> Any:  # noqa: ANN401
    """Return the content of a JSON file."""
    return json.loads(path.read_text())
