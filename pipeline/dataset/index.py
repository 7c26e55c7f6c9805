"""A data set as three tables: its videos, their frames on disk, the people labeled in them."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from pipeline.dataset.layout import SPLITS
from pipeline.frames.images import read_image_size
from pipeline.manifest import FrameFile
from pipeline.posetrack.annotations import Annotations, person_boxes
from pipeline.posetrack.reader import read_annotations
from pipeline.skeleton import SLOTS
from pipeline.tables.schemas import FRAMES, PEOPLE, VIDEOS

_CURE = "restore it and take the data set in again: posereel use-preset"


@dataclass(frozen=True, slots=True)
class Index:
    """The tables of a data set; see ``pipeline.tables.schemas`` for their columns and order."""

    videos: pd.DataFrame
    frames: pd.DataFrame
    people: pd.DataFrame


def index_data_set(annotations: Path, manifest: Mapping[str, FrameFile], root: Path) -> Index:
    """Return the tables of a data set.

    Args:
        annotations: Folder with ``train/*.json`` and ``val/*.json``; a split without files, or
            without a folder, is empty.
        manifest: What the manifest says, by path relative to ``root``.
        root: Folder of the frames. Only the header of a video's first frame is read, and only
            where the annotations do not say the size.

    Raises:
        ValueError: If an annotation file is malformed, a frame that it names is not in the
            manifest, or the frames of a video are in several folders, unevenly numbered or of
            different sizes.
    """
    if manifest and not annotations.is_dir():
        raise ValueError(
            f"{annotations}: expected a folder with train/ and val/, found none, but the manifest "
            f"lists {len(manifest)} frames; {_CURE}"
        )
    folders = folders_of(manifest)
    videos = [
        index_video(file, split, folders, manifest, root)
        for split in SPLITS
        for file in sorted((annotations / split).glob("*.json"))
    ]
    return Index(
        _joined([video.videos for video in videos], VIDEOS.names),
        _joined([video.frames for video in videos], FRAMES.names),
        _joined([video.people for video in videos], PEOPLE.names),
    )


def folders_of(manifest: Iterable[str]) -> dict[str, list[str]]:
    """Return the frames of a manifest by their folder."""
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
        file: Its annotation file.
        split: ``train`` or ``val``.
        folders: From ``folders_of``.
        manifest: As for ``index_data_set``, and so is ``root``.
        root: Folder of the frames.

    Raises:
        ValueError: As ``index_data_set``.
    """
    _refuse_bad_video(file)
    read = read_annotations(file)
    files = _files_of_video(read, folders)
    height, width = _image_size(read, root, files[0])
    place = f"{split}/{file.name}"
    row = (file.stem, split, len(files), height, width, read.format, place)
    return Index(
        pd.DataFrame([row], columns=VIDEOS.names),
        _frame_rows(read, split, files, manifest),
        _people_rows(read, split, files),
    )


def _joined(parts: Sequence[pd.DataFrame], columns: Sequence[str]) -> pd.DataFrame:
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(columns))


def _refuse_bad_video(file: Path) -> None:
    """Check that the video's name can be the name of a folder beside a store's own files."""
    name = file.stem
    reserved = name.startswith((".", "__")) or name.endswith((".json", ".parquet"))
    if not name.isprintable() or reserved:
        raise ValueError(
            f"{file}: expected a file name of printable characters that begins with no dot or "
            f"double underscore, for it names the video's caches, got {name!r}; rename the file"
        )


def _files_of_video(read: Annotations, folders: Mapping[str, list[str]]) -> list[str]:
    """Return the frames of a video in the order of time: all that the manifest has in its folder.

    Numbers in the file names say the time. They must rise evenly: neighbors across a hole would
    show another moment than the flow and the papers' delta mean.
    """
    found = {str(PurePosixPath(name).parent) for name in read.file_names}
    if len(found) > 1 or len(set(read.file_names)) < len(read.file_names):
        twice = [name for name in read.file_names if read.file_names.count(name) > 1]
        came = f"{twice[0]!r} twice" if twice else f"frames in {sorted(found)}"
        raise ValueError(
            f"{read.path}: expected every frame of one folder once, got {came}; "
            "write one annotation file per video"
        )
    files = sorted(folders.get(found.pop(), []), key=_time)
    if missing := set(read.file_names) - set(files):
        raise ValueError(f"{read.path}: {min(missing)!r} is not in the manifest; {_CURE}")
    _refuse_holes(read.path, files)
    return files


def _time(name: str) -> tuple[int, str]:
    """Return the last number of a frame's file name, -1 if it has none, and the name."""
    numbers = re.findall(r"\d+", PurePosixPath(name).stem)
    return (int(numbers[-1]) if numbers else -1), name


def _refuse_holes(path: Path, files: Sequence[str]) -> None:
    numbers = np.array([_time(name)[0] for name in files])
    steps = np.diff(numbers)
    if (numbers < 0).any() or len(steps) == 0:
        return
    odd = np.flatnonzero((steps == 0) | (steps != steps[steps > 0].min(initial=1 << 62)))
    if len(odd):
        raise ValueError(
            f"{path}: expected evenly numbered frames, got {files[odd[0] + 1]!r} after "
            f"{files[odd[0]]!r}; restore what is missing or remove what is there twice, and take "
            "the data set in again: posereel use-preset"
        )


def _frame_rows(
    read: Annotations, split: str, files: Sequence[str], manifest: Mapping[str, FrameFile]
) -> pd.DataFrame:
    entries = {name: entry for entry, name in enumerate(read.file_names)}
    entry = np.array([entries.get(name, -1) for name in files], dtype=np.int32)
    named = entry >= 0
    # poseval scores every frame with people, whatever is_labeled says (evaluateAP.py).
    labeled = (read.labeled | read.has_people)[entry] & named
    return pd.DataFrame(
        {
            "video": read.path.stem,
            "split": split,
            "frame": np.arange(len(files), dtype=np.int32),
            "file": files,
            "sha256": [manifest[name].sha256 for name in files],
            "image_id": np.where(named, read.image_ids[entry], -1),
            "labelled": labeled,
            "entry": entry,
            "ignore": [_polygons(read, int(e)) if e >= 0 else "" for e in entry],
            "tag": [read.tags[e] if e >= 0 else "" for e in entry],
        }
    )


def _polygons(read: Annotations, entry: int) -> str:
    polygons = [polygon.T.tolist() for polygon in read.regions.of_frame(entry)]
    return json.dumps(polygons, separators=(",", ":")) if polygons else ""


def _people_rows(read: Annotations, split: str, files: Sequence[str]) -> pd.DataFrame:
    people = read.people
    positions = {name: position for position, name in enumerate(files)}
    frame_of_entry = np.array([positions[name] for name in read.file_names], dtype=np.int32)
    columns: dict[str, object] = {
        "video": read.path.stem,
        "split": split,
        "frame": frame_of_entry[people.frame],
        "annotation_id": people.annotation_id,
        "track_id": people.track_id,
    }
    for name, boxes in (("box", person_boxes(people)), ("head", people.heads_xywh)):
        columns |= {f"{name}_{side}": boxes[:, i] for i, side in enumerate("xywh")}
    # A slot that the file does not label is three zeros, whatever form the file had.
    labels = np.where(people.present[:, :, None], people.keypoints, 0)
    columns["keypoints"] = list(labels.reshape(-1, 3 * len(SLOTS)))
    rows = pd.DataFrame(columns)
    rows["person"] = rows.groupby("frame").cumcount()
    return rows.sort_values(["frame", "person"], kind="stable", ignore_index=True)


def _image_size(read: Annotations, root: Path, first: str) -> tuple[int, int]:
    sizes = {(int(height), int(width)) for height, width in read.image_sizes}
    if len(sizes) > 1:
        raise ValueError(
            f"{read.path}: expected frames of one size, got (height, width) {sorted(sizes)}; "
            "correct the file or split the video"
        )
    size = sizes.pop()
    return size if min(size) > 0 else read_image_size(root, first)
