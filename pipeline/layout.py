"""Where a data set's annotation files lie below the folder that a user names.

Two layouts are known: PoseTrack's own, ``annotations/<train|val>/*.json``, and a folder with the
annotation files of one or a few videos beside ``images/``, which are then all validation videos.
"""

import json
from pathlib import Path
from typing import Any

SPLITS = ("train", "val")
PICTURES = (".jpg", ".jpeg", ".png")


def find_annotations(root: Path) -> dict[str, list[Path]]:
    """Return the annotation files of every split, sorted by name.

    Args:
        root: The data set's folder.

    Raises:
        ValueError: If the folder holds no annotation file in a known layout.
    """
    found = {split: sorted((root / "annotations" / split).glob("*.json")) for split in SPLITS}
    if not any(found.values()):
        found = {"train": [], "val": sorted(root.glob("*.json"))}
    if not any(found.values()):
        raise ValueError(
            f"{root}: expected annotations/<train|val>/*.json, or *.json beside images/, found"
            " neither; name the folder that the official archives were unpacked into"
        )
    return found


def find_frames(root: Path, annotations: list[Path]) -> list[str]:
    """Return the frames on disk of every video that the annotation files name, labelled or not.

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
        pictures = (f for f in sorted(place.iterdir()) if f.suffix.lower() in PICTURES)
        frames += [f"{folder}/{picture.name}" for picture in pictures]
    return frames


def _named_frames(file: Path) -> list[str]:
    try:
        values: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        if "annolist" in values:
            return [str(entry["image"][0]["name"]) for entry in values["annolist"]]
        return [str(image["file_name"]) for image in values["images"]]
    except (json.JSONDecodeError, KeyError, IndexError, TypeError) as error:
        raise ValueError(
            f"{file}: expected a PoseTrack annotation file with `images` or `annolist`, got"
            f" {error!r}; keep other JSON files out of this folder"
        ) from error
