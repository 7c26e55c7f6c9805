"""Where a data set's annotation files and frames lie below the folder that a user names.

Known are the layouts that the archives unpack to: PoseTrack17's and 18's
``annotations/<train|val>/*.json``, also inside ``posetrack_data``; PoseTrack21's
``posetrack_data/<train|val>/*.json``; one file per split, such as
``annotations/posetrack_train.json``, with the videos of that split; and annotation files beside
``images/``, which are then all validation videos.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.posetrack.posetrack17 import one

SPLITS = ("train", "val")
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
FRAME_FOLDERS = ("", "images", "images_renamed")
"""Folders that the names of frames may be relative to; the last is that of DCPose's kin."""


class DataSetFiles(NamedTuple):
    """A data set as it was found."""

    root: Path
    """Folder that the frames' paths are relative to."""
    annotations: dict[str, list[Path]]
    """Annotation files of every split, sorted by name; a file may hold several videos."""


def find_data_set_files(given: Path) -> DataSetFiles:
    """Return where the annotation files and the frames of a data set lie.

    Args:
        given: The folder that the user names.

    Raises:
        ValueError: If the folder holds no annotation file in a known layout, or several releases.
    """
    unpacked = [given / "posetrack_data", *sorted(given.glob("*/posetrack_data"))]
    # PoseTrack21 has its splits in posetrack_data itself.
    places = [given / "annotations", *(p for u in unpacked for p in (u / "annotations", u))]
    found = {place: files for place in places if any((files := _files_of_splits(place)).values())}
    if len(found) > 1:
        raise ValueError(
            f"{given}: expected one set of annotations, found those in {_listed(found, given)}; "
            "keep one release of the labels there, the others elsewhere"
        )
    place, files = found.popitem() if found else (given, {"train": [], "val": _json(given)})
    if not any(files.values()):
        raise ValueError(
            f"{given}: expected annotations/<train|val>/*.json, posetrack_data/<train|val>/*.json, "
            "a file per split in annotations/, or *.json beside images/, found none of them; name "
            "the folder that the official archives were unpacked into"
        )
    return DataSetFiles(_find_root(given, place, files), files)


def _files_of_splits(place: Path) -> dict[str, list[Path]]:
    """Return each split's files: those in its folder, or the one that is named after it."""
    found = {}
    for split in SPLITS:
        found[split] = _json(place / split) or sorted(place.glob(f"*{split}*.json"))
        if len(found[split]) > 1 and found[split][0].parent == place:
            raise ValueError(
                f"{place}: expected one file for the split {split}, got "
                f"{[file.name for file in found[split]]}; keep the one with keypoints there"
            )
    return found


def _json(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.json"))


def _listed(found: dict[Path, dict[str, list[Path]]], given: Path) -> list[str]:
    return [place.relative_to(given).as_posix() for place in found]


def _find_root(given: Path, place: Path, files: dict[str, list[Path]]) -> Path:
    """Return the folder below which the frames of the first file are; as a last resort, the given.

    Labels and images come in several archives, which need not unpack into the same folder.
    """
    first = next(file for split in reversed(SPLITS) for file in files[split])
    frame = _named_frames(first)[0]
    for base in (given, place, place.parent):
        for below in FRAME_FOLDERS:
            if (base / below / frame).parent.is_dir():
                return base / below
    return given


def find_frames(root: Path, annotations: list[Path]) -> list[str]:
    """Return the frames on disk of every video that the annotation files name, labeled or not.

    Args:
        root: The data set's folder.
        annotations: Annotation files of PoseTrack18's or PoseTrack17's form.

    Returns:
        Paths relative to ``root``, sorted: every picture in every folder that holds a named frame.

    Raises:
        ValueError: If a named folder leaves ``root`` or is not there.
    """
    folders = sorted(
        {str(Path(name).parent) for file in annotations for name in _named_frames(file)}
    )
    frames = []
    for folder in folders:
        place = (root / folder).resolve()
        if not place.is_relative_to(root.resolve()):
            raise ValueError(
                f"{folder}: an annotation names a folder outside the data set {root}; mend it"
            )
        if not place.is_dir():
            raise ValueError(
                f"{root / folder}: an annotation names this folder, but it is not there"
            )
        pictures = (f for f in sorted(place.iterdir()) if f.suffix.lower() in IMAGE_SUFFIXES)
        frames += [f"{folder}/{picture.name}" for picture in pictures]
    return frames


def _named_frames(file: Path) -> list[str]:
    try:
        values: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        if "annolist" in values:
            names = [str(one(entry["image"])["name"]) for entry in values["annolist"]]
        else:
            names = [str(image["file_name"]) for image in values["images"]]
    except (json.JSONDecodeError, KeyError, IndexError, TypeError) as error:
        raise ValueError(
            f"{file}: expected a PoseTrack annotation file with `images` or `annolist`, got"
            f" {error!r}; keep other JSON files out of this folder"
        ) from error
    if not names:
        raise ValueError(f"{file}: expected at least one frame, got none; remove that file")
    return names
