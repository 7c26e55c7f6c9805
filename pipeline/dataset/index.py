"""Index tables of a data set: videos, frames on disk and labeled people."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from pipeline.core.frames.images import read_image_size
from pipeline.core.manifest import FrameFile
from pipeline.core.posetrack.annotations import Annotations, person_boxes
from pipeline.core.posetrack.reader import read_annotations
from pipeline.core.skeleton import SLOTS
from pipeline.core.tables.schemas import FRAMES, PEOPLE, VIDEOS
from pipeline.dataset.layout import SPLITS

_CURE = "restore it and import the data set again: posereel use-preset"


@dataclass(frozen=True, slots=True)
class Index:
    """Tables of a data set; see ``pipeline.core.tables.schemas`` for columns and row order."""

    videos: pd.DataFrame
    frames: pd.DataFrame
    people: pd.DataFrame


def index_data_set(annotations: Path, manifest: Mapping[str, FrameFile], root: Path) -> Index:
    """Return the tables of a data set.

    Args:
        annotations: Folder with ``train/*.json`` and ``val/*.json``. A split without files or
            without a folder is empty.
        manifest: Entries of the manifest, keyed by path relative to ``root``.
        root: Folder of the frames. If the annotations do not contain the image size, it is read
            from the header of the first frame.

    Raises:
        ValueError: If an annotation file is malformed, one of its frames is not in the manifest,
            or the frames of a video are in several folders, unevenly numbered or of different
            sizes.
    """
    if manifest and not annotations.is_dir():
        raise ValueError(
            f"{annotations}: expected a folder with train/ and val/, found none, but the manifest "
            f"lists {len(manifest)} frames; {_CURE}"
        )
    folders = group_by_folder(manifest)
    videos = [
        index_video(file, split, folders, manifest, root)
        for split in SPLITS
        for file in sorted((annotations / split).glob("*.json"))
    ]
    return Index(
        _concatenate([video.videos for video in videos], VIDEOS.names),
        _concatenate([video.frames for video in videos], FRAMES.names),
        _concatenate([video.people for video in videos], PEOPLE.names),
    )


def group_by_folder(manifest: Iterable[str]) -> dict[str, list[str]]:
    """Group the frames of a manifest by folder."""
    folders: dict[str, list[str]] = {}
    for name in manifest:
        folders.setdefault(str(PurePosixPath(name).parent), []).append(name)
    return folders


def index_video(
    file: Path,
    split: str,
    folders: Mapping[str, list[str]],
    manifest: Mapping[str, FrameFile],
    root: Path,
) -> Index:
    """Return the tables of one video.

    Args:
        file: Annotation file of the video.
        split: ``train`` or ``val``.
        folders: Result of ``group_by_folder``.
        manifest: As in ``index_data_set``.
        root: As in ``index_data_set``.

    Raises:
        ValueError: As in ``index_data_set``.
    """
    _check_video_name(file)
    annotations = read_annotations(file)
    files = _frames_of_video(annotations, folders)
    height, width = _image_size(annotations, root, files[0])
    annotation = f"{split}/{file.name}"
    row = (file.stem, split, len(files), height, width, annotations.format, annotation)
    return Index(
        pd.DataFrame([row], columns=VIDEOS.names),
        _frame_rows(annotations, split, files, manifest),
        _people_rows(annotations, split, files),
    )


def _concatenate(parts: Sequence[pd.DataFrame], columns: Sequence[str]) -> pd.DataFrame:
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(columns))


def _check_video_name(file: Path) -> None:
    """Check that the name of a video is valid as a folder name in a store."""
    name = file.stem
    reserved = name.startswith((".", "__")) or name.endswith((".json", ".parquet"))
    if not name.isprintable() or reserved:
        raise ValueError(
            f"{file}: expected a printable file name without leading dot or double underscore, "
            f"because caches are named after it, got {name!r}; rename the file"
        )


def _frames_of_video(annotations: Annotations, folders: Mapping[str, list[str]]) -> list[str]:
    """Return all frames in the folder of a video, in temporal order.

    The order is that of the numbers in the file names. The numbers must be evenly spaced, because a
    gap would change the time between neighboring frames.
    """
    found = {str(PurePosixPath(name).parent) for name in annotations.file_names}
    if len(found) > 1 or len(set(annotations.file_names)) < len(annotations.file_names):
        twice = [name for name in annotations.file_names if annotations.file_names.count(name) > 1]
        got = f"{twice[0]!r} twice" if twice else f"frames in {sorted(found)}"
        raise ValueError(
            f"{annotations.path}: expected unique frames in one folder, got {got}; "
            "write one annotation file per video"
        )
    files = sorted(folders.get(found.pop(), []), key=_frame_number)
    if missing := set(annotations.file_names) - set(files):
        raise ValueError(f"{annotations.path}: {min(missing)!r} is not in the manifest; {_CURE}")
    _check_even_numbering(annotations.path, files)
    return files


def _frame_number(name: str) -> tuple[int, str]:
    """Return the last number in the file name of a frame, or -1, and the name."""
    numbers = re.findall(r"\d+", PurePosixPath(name).stem)
    return (int(numbers[-1]) if numbers else -1), name


def _check_even_numbering(path: Path, files: Sequence[str]) -> None:
    numbers = np.array([_frame_number(name)[0] for name in files])
    steps = np.diff(numbers)
    if (numbers < 0).any() or len(steps) == 0:
        return
    uneven = np.flatnonzero((steps == 0) | (steps != steps[steps > 0].min(initial=1 << 62)))
    if len(uneven):
        raise ValueError(
            f"{path}: expected evenly numbered frames, got {files[uneven[0] + 1]!r} after "
            f"{files[uneven[0]]!r}; restore missing frames or remove duplicates, and import "
            "the data set again: posereel use-preset"
        )


def _frame_rows(
    annotations: Annotations, split: str, files: Sequence[str], manifest: Mapping[str, FrameFile]
) -> pd.DataFrame:
    entries = {name: entry for entry, name in enumerate(annotations.file_names)}
    entry = np.array([entries.get(name, -1) for name in files], dtype=np.int32)
    named = entry >= 0
    # poseval scores every frame with people, regardless of is_labeled (evaluateAP.py).
    labeled = (annotations.labeled | annotations.has_people)[entry] & named
    return pd.DataFrame(
        {
            "video": annotations.path.stem,
            "split": split,
            "frame": np.arange(len(files), dtype=np.int32),
            "file": files,
            "sha256": [manifest[name].sha256 for name in files],
            "image_id": np.where(named, annotations.image_ids[entry], -1),
            "labelled": labeled,
            "entry": entry,
            "ignore": [_polygons(annotations, int(e)) if e >= 0 else "" for e in entry],
            "tag": [annotations.tags[e] if e >= 0 else "" for e in entry],
        }
    )


def _polygons(annotations: Annotations, entry: int) -> str:
    polygons = [polygon.T.tolist() for polygon in annotations.regions.of_frame(entry)]
    return json.dumps(polygons, separators=(",", ":")) if polygons else ""


def _people_rows(annotations: Annotations, split: str, files: Sequence[str]) -> pd.DataFrame:
    people = annotations.people
    positions = {name: position for position, name in enumerate(files)}
    frame_of_entry = np.array([positions[name] for name in annotations.file_names], dtype=np.int32)
    columns: dict[str, object] = {
        "video": annotations.path.stem,
        "split": split,
        "frame": frame_of_entry[people.frame],
        "annotation_id": people.annotation_id,
        "track_id": people.track_id,
    }
    for name, boxes in (("box", person_boxes(people)), ("head", people.heads_xywh)):
        columns |= {f"{name}_{side}": boxes[:, i] for i, side in enumerate("xywh")}
    # Unlabeled slots are three zeros, independent of the file format.
    labels = np.where(people.present[:, :, None], people.keypoints, 0)
    columns["keypoints"] = list(labels.reshape(-1, 3 * len(SLOTS)))
    rows = pd.DataFrame(columns)
    rows["person"] = rows.groupby("frame").cumcount()
    return rows.sort_values(["frame", "person"], kind="stable", ignore_index=True)


def _image_size(annotations: Annotations, root: Path, first: str) -> tuple[int, int]:
    sizes = {(int(height), int(width)) for height, width in annotations.image_sizes}
    if len(sizes) > 1:
        raise ValueError(
            f"{annotations.path}: expected frames of one size, got (height, width) "
            f"{sorted(sizes)}; correct the file or split the video"
        )
    size = sizes.pop()
    return size if min(size) > 0 else read_image_size(root, first)
