"""Find the annotation files and frames of a data set in a folder.

Known layouts are those of the official archives: PoseTrack17 and 18 with
``annotations/<train|val>/*.json``, also inside ``posetrack_data``; PoseTrack21 with
``posetrack_data/<train|val>/*.json``; one file per split, such as
``annotations/posetrack_train.json``, with the videos of that split; and annotation files beside
``images/``, which are validation videos.
"""

from pathlib import Path, PurePosixPath
from typing import NamedTuple

from pipeline.core.frames.images import locate
from pipeline.core.posetrack.posetrack17 import unwrap
from pipeline.core.strict_json import read_json

SPLITS = ("train", "val")
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
FRAME_FOLDERS = ("", "images", "images_renamed")
"""Folders that frame names may be relative to; DCPose and its derivatives use the last one."""


class DataSetFiles(NamedTuple):
    """Files of a data set."""

    root: Path
    """Folder that frame paths are relative to."""
    annotations: dict[str, list[Path]]
    """Annotation files of every split, sorted by name. A file may contain several videos."""


def find_data_set_files(given: Path) -> DataSetFiles:
    """Find the annotation files and the frames of a data set.

    Args:
        given: Folder given by the user.

    Raises:
        ValueError: If the folder contains no annotation file in a known layout, or several
            releases.
    """
    unpacked = [given / "posetrack_data", *sorted(given.glob("*/posetrack_data"))]
    # PoseTrack21 has its splits directly in posetrack_data.
    candidates = [given / "annotations", *(p for u in unpacked for p in (u / "annotations", u))]
    found = {
        folder: files for folder in candidates if any((files := _files_of_splits(folder)).values())
    }
    if len(found) > 1:
        raise ValueError(
            f"{given}: expected one set of annotations, found those in {_relative(found, given)}; "
            "keep one release of the labels in this folder"
        )
    folder, files = found.popitem() if found else (given, {"train": [], "val": _json(given)})
    if not any(files.values()):
        raise ValueError(
            f"{given}: expected annotations/<train|val>/*.json, posetrack_data/<train|val>/*.json, "
            "a file per split in annotations/, or *.json beside images/, found none of them; give "
            "the folder that contains the unpacked official archives"
        )
    return DataSetFiles(_find_root(given, folder, files), files)


def _files_of_splits(folder: Path) -> dict[str, list[Path]]:
    """Return the files of each split: those in its folder, or the file named after the split."""
    found = {}
    for split in SPLITS:
        found[split] = _json(folder / split) or sorted(folder.glob(f"*{split}*.json"))
        if len(found[split]) > 1 and found[split][0].parent == folder:
            raise ValueError(
                f"{folder}: expected one file for the split {split}, got "
                f"{[file.name for file in found[split]]}; keep the one with keypoints"
            )
    return found


def _json(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.json"))


def _relative(found: dict[Path, dict[str, list[Path]]], given: Path) -> list[str]:
    return [folder.relative_to(given).as_posix() for folder in found]


def _find_root(given: Path, folder: Path, files: dict[str, list[Path]]) -> Path:
    """Return the folder that contains the frames of the first file, or ``given`` if not found.

    Labels and images are in different archives, which may unpack to different folders.
    """
    first = next(file for split in reversed(SPLITS) for file in files[split])
    frame = _named_frames(first)[0]
    roots = [base / below for base in (given, folder, folder.parent) for below in FRAME_FOLDERS]
    # The frame itself may be missing; its folder then tells where the others are.
    with_frame = [root for root in roots if (root / frame).is_file()]
    with_folder = [root for root in roots if (root / frame).parent.is_dir()]
    return next(iter(with_frame + with_folder), given)


def find_frames(root: Path, annotations: list[Path]) -> list[str]:
    """Return the frames on disk of all videos in annotation files, labeled or not.

    Args:
        root: The data set's folder.
        annotations: Annotation files in the format of PoseTrack18 or PoseTrack17.

    Returns:
        Sorted paths, relative to ``root``, of all images in the folders of the annotated frames.

    Raises:
        ValueError: If a folder is outside ``root``, does not exist or cannot be read, or an
            annotation file is invalid.
    """
    folders = sorted(
        {str(Path(name).parent) for file in annotations for name in _named_frames(file)}
    )
    frames = []
    for folder in folders:
        path = locate(root, folder)
        if not path.is_dir():
            raise ValueError(
                f"{root / folder}: expected this folder of an annotation, found nothing; restore it"
            )
        images = (f for f in _entries(path) if f.suffix.lower() in IMAGE_SUFFIXES)
        frames += [(PurePosixPath(folder) / image.name).as_posix() for image in images]
    return frames


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise ValueError(
            f"{folder}: expected a readable folder of frames, got {error.strerror}; change its "
            "permissions"
        ) from error


def _named_frames(file: Path) -> list[str]:
    values = read_json(file)
    try:
        if "annolist" in values:
            names = [str(unwrap(entry["image"])["name"]) for entry in values["annolist"]]
        else:
            names = [str(image["file_name"]) for image in values["images"]]
    except (KeyError, IndexError, TypeError) as error:
        raise ValueError(
            f"{file}: expected a PoseTrack annotation file with `images` or `annolist`, got"
            f" {error!r}; remove other JSON files from this folder"
        ) from error
    if not names:
        raise ValueError(f"{file}: expected at least one frame, got none; remove the file")
    return names
