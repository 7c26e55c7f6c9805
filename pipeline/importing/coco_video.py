"""Split COCO-style annotation files with many videos into one file per video."""

import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from pipeline.core.posetrack.annotations import MALFORMED
from pipeline.core.strict_json import read_json
from pipeline.dataset.layout import FRAME_FOLDERS

Document = dict[str, Any]


def split_videos(file: Path, root: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the name and the file content of every video in an annotation file.

    The content of a file with one video is returned unchanged. Otherwise the content of each video
    has its images, their annotations and the categories, and image paths are relative to ``root``.

    Args:
        file: A file in any format of ``posetrack.reader.read_annotations``, with any number of
            videos. The video of an image is its ``video_id``, ``vid_id`` or folder.
        root: Folder of the frames.

    Raises:
        ValueError: If the file is not JSON, or an image or annotation lacks a required key.
    """
    values = read_json(file)
    images = values.get("images") if isinstance(values, dict) else None
    try:
        video_of = {image["id"]: _video_of(image) for image in images or []}
        names = _names(values, video_of, images or [])
        if len(names) < 2:
            yield file.stem, file.read_bytes()
            return
        prefix = _path_prefix(root, images[0]["file_name"]) if images else ""
        for video, document in _split(values, video_of, prefix).items():
            yield names[video], json.dumps(document, separators=(",", ":")).encode() + b"\n"
    except MALFORMED as error:
        raise ValueError(
            f"{file}: expected images with `id` and `file_name`, and annotations with `image_id`, "
            f"got {error!r}; write those keys, or one file per video"
        ) from error


def _video_of(image: Document) -> object:
    """Return the video id of an image, or its folder if it has none."""
    folder = PurePosixPath(image["file_name"]).parent.as_posix()
    return image.get("video_id", image.get("vid_id", folder))


def _names(
    values: Document, video_of: dict[int, object], images: list[Document]
) -> dict[object, str]:
    """Return a unique name for every video: the folder name, with its parent if ambiguous."""
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


def _path_prefix(root: Path, name: str) -> str:
    """Return the prefix that makes frame names relative to ``root``."""
    for folder in FRAME_FOLDERS:
        if (root / folder / name).is_file():
            return f"{folder}/" if folder else ""
    return ""


def _split(
    values: Document, video_of: dict[int, object], prefix: str
) -> dict[object, dict[str, list[Document]]]:
    """Return the content of every video."""
    documents: dict[object, dict[str, list[Document]]] = {}
    for image in values["images"]:
        own = documents.setdefault(
            video_of[image["id"]],
            {"images": [], "annotations": [], "categories": values["categories"]},
        )
        own["images"].append(image | {"file_name": prefix + image["file_name"]})
    for annotation in values["annotations"]:
        documents[video_of[annotation["image_id"]]]["annotations"].append(annotation)
    return documents
