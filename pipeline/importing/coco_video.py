"""COCO-style files with many videos, as conversions of PoseTrack come, in one file per video."""

import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from pipeline.dataset.layout import FRAME_FOLDERS
from pipeline.posetrack.annotations import MALFORMED
from pipeline.strict_json import read_json

Document = dict[str, Any]


def split_videos(file: Path, root: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the videos of an annotation file: name and content of a file that holds it alone.

    A file of one video comes back as it is. Of several, each keeps its images, their annotations
    and the categories; frames get the path that they have below ``root``.

    Args:
        file: A file of any form that ``posetrack.read_annotations`` knows, but with any number of
            videos: images say theirs by ``video_id`` or ``vid_id``, or by their folder.
        root: Folder of the frames.

    Raises:
        ValueError: If the file is no JSON, or an image or annotation lacks what tells its video.
    """
    values = read_json(file)
    images = values.get("images") if isinstance(values, dict) else None
    try:
        video_of = {image["id"]: _video(image) for image in images or []}
        names = _names(values, video_of, images or [])
        if len(names) < 2:
            yield file.stem, file.read_bytes()
            return
        below = _below(root, images[0]["file_name"]) if images else ""
        for video, document in _split(values, video_of, below).items():
            yield names[video], json.dumps(document, separators=(",", ":")).encode() + b"\n"
    except MALFORMED as error:
        raise ValueError(
            f"{file}: expected images with `id` and `file_name`, and annotations with `image_id`, "
            f"got {error!r}; write those keys, or one file per video"
        ) from error


def _video(image: Document) -> object:
    """Return what tells the video of an image: its id, else its folder."""
    folder = PurePosixPath(image["file_name"]).parent.as_posix()
    return image.get("video_id", image.get("vid_id", folder))


def _names(
    values: Document, video_of: dict[int, object], images: list[Document]
) -> dict[object, str]:
    """Return a name for every video: its folder's, with that above where it is not enough."""
    listed = {video["id"]: video for video in values.get("videos", [])} if images else {}
    paths: dict[object, PurePosixPath] = {}
    for image in images:
        video = listed.get(video_of[image["id"]], {})
        folder = PurePosixPath(image["file_name"]).parent
        paths.setdefault(video_of[image["id"]], PurePosixPath(video.get("name", folder.as_posix())))
    short = [path.name for path in paths.values()]
    return {
        video: path.name if short.count(path.name) == 1 else "_".join(path.parts[-2:])
        for video, path in paths.items()
    }


def _below(root: Path, name: str) -> str:
    """Return what to put before the names of frames so that they are relative to ``root``."""
    for folder in FRAME_FOLDERS:
        if (root / folder / name).is_file():
            return f"{folder}/" if folder else ""
    return ""


def _split(
    values: Document, video_of: dict[int, object], below: str
) -> dict[object, dict[str, list[Document]]]:
    documents: dict[object, dict[str, list[Document]]] = {}
    for image in values["images"]:
        own = documents.setdefault(
            video_of[image["id"]],
            {"images": [], "annotations": [], "categories": values["categories"]},
        )
        own["images"].append(image | {"file_name": below + image["file_name"]})
    for annotation in values["annotations"]:
        documents[video_of[annotation["image_id"]]]["annotations"].append(annotation)
    return documents
