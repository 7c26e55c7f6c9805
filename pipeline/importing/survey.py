"""What a data set holds, what of it the pipeline will use, and what keeps the pipeline from it."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from pipeline.dataset.index import Index, group_by_folder, index_video
from pipeline.dataset.layout import SPLITS, find_frames
from pipeline.detection.detections import ground_truth_boxes
from pipeline.evaluation.provenance import label_version
from pipeline.frames.images import decode_image, locate
from pipeline.geometry.boxes import clip_boxes
from pipeline.manifest import FrameFile
from pipeline.posetrack.reader import read_annotations
from pipeline.skeleton import JOINT_SLOTS, JOINTS, SLOTS
from pipeline.units.progress import progress

_READERS = 4
"""Pictures read and decoded at once."""
_RELEASES = {74: "0.2", 170: "0.45"}
"""Validation files of PoseTrack18's two releases of labels."""

Size = tuple[int, int]


@dataclass(slots=True)
class SplitFacts:
    """What a split holds."""

    videos: int = 0
    frames: int = 0
    """On disk, labeled or not."""
    missing: int = 0
    """Named by the annotations and not on disk."""
    labeled: int = 0
    people: int = 0
    boxes_beyond: int = 0
    """Person boxes that reach out of the image; they are clipped."""
    unreadable: int = 0
    joints: dict[str, int] = field(default_factory=lambda: dict.fromkeys(JOINTS, 0))
    """Labeled joints by name, occluded ones included."""
    no_crop: int = 0
    """People without a labeled joint, or without a part of their box in the image."""
    no_head: int = 0
    """People without a head box."""


class Survey(NamedTuple):
    """The findings, and the manifest of every picture that was read."""

    facts: dict[str, Any]
    """``data_set``, ``labels``, ``sha256`` of the labels, ``splits``, ``skipped``, ``faults``."""
    manifest: dict[str, FrameFile]

    @property
    def faults(self) -> list[str]:
        """What keeps the pipeline from running on the data set, one line each."""
        found: list[str] = self.facts["faults"]
        return found


@dataclass(frozen=True, slots=True)
class _Pictures:
    """Every picture of the data set."""

    manifest: dict[str, FrameFile]
    """All of them; those that cannot be read have an empty digest."""
    sizes: dict[str, Size]
    """Height and width of those that can be read."""
    faults: dict[str, str]
    """What is wrong with those that cannot."""
    folders: dict[str, list[str]]


def survey(annotations: Path, root: Path) -> Survey:
    """Read all labels and all pictures of a data set.

    Args:
        annotations: Folder with ``<train|val>/<video>.json``, one video each.
        root: Folder that the frames' paths are relative to.
    """
    files = {split: sorted((annotations / split).glob("*.json")) for split in SPLITS}
    faults: list[str] = []
    frames: set[str] = set()
    for file in (file for split in SPLITS for file in files[split]):
        try:
            frames |= set(find_frames(root, [file]))
        except ValueError as error:
            faults.append(str(error))
    pictures = _read_pictures(root, sorted(frames))
    splits = {split: SplitFacts() for split in SPLITS}
    forms: set[str] = set()
    for split, own in files.items():
        for file in own:
            try:
                forms.add(_add_video(splits[split], file, split, pictures, root))
            except ValueError as error:
                faults.append(str(error))
    faults += pictures.faults.values()
    version = label_version(annotations)
    data_set = " and ".join(sorted(forms)) or "unknown"
    facts = {
        "data_set": data_set,
        "labels": _release(data_set, version["val_files"]),
        "sha256": version["sha256"],
        "splits": {split: asdict(found) for split, found in splits.items()},
        "skipped": _skipped(splits),
        "faults": list(dict.fromkeys(_line(fault, annotations) for fault in faults)),
    }
    return Survey(facts, pictures.manifest)


def _line(fault: str, annotations: Path) -> str:
    """Return a fault on one line, without the folder of single videos, which may be a copy."""
    return " ".join(fault.replace(f"{annotations}/", "").split())


def _read_pictures(root: Path, names: list[str]) -> _Pictures:
    """Hash and decode every picture."""
    pictures = _Pictures({}, {}, {}, group_by_folder(names))

    def read(name: str) -> tuple[FrameFile, Size | str]:
        try:
            file = locate(root, name)
            data = file.read_bytes()
            height, width = decode_image(file, data, None).shape[:2]
            return FrameFile(sha256(data).hexdigest(), len(data)), (height, width)
        except (ValueError, OSError) as error:
            # It stands in for the picture: the rest of its video is still looked at.
            return FrameFile("", 0), str(error)

    with (
        progress("check_data", len(names), "pictures") as advance,
        ThreadPoolExecutor(_READERS) as readers,
    ):
        for name, (entry, found) in zip(names, readers.map(read, names), strict=True):
            pictures.manifest[name] = entry
            if isinstance(found, str):
                pictures.faults[name] = found
            else:
                pictures.sizes[name] = found
            advance()
    return pictures


def _add_video(facts: SplitFacts, file: Path, split: str, pictures: _Pictures, root: Path) -> str:
    """Add a video to what its split holds and return the form of its file.

    Raises:
        ValueError: If the stage index would refuse it, or its pictures are of several sizes.
    """
    facts.videos += 1
    read = read_annotations(file)
    folders = {PurePosixPath(name).parent.as_posix() for name in read.file_names}
    known = {name for folder in folders for name in pictures.folders.get(folder, [])}
    facts.frames += len(known)
    facts.missing += len(set(read.file_names) - known)
    facts.unreadable += len(known & set(pictures.faults))
    found = index_video(file, split, pictures.folders, pictures.manifest, root)
    _add_people(facts, found)
    sizes = {pictures.sizes[name] for name in found.frames["file"] if name in pictures.sizes}
    video = found.videos.iloc[0]
    if sizes - {(video["height"], video["width"])}:
        raise ValueError(
            f"{file.name}: expected pictures of {video['height']} x {video['width']} (height x "
            f"width), as the labels or the first frame say, got {sorted(sizes)}; restore the frames"
        )
    return read.format


def _add_people(facts: SplitFacts, found: Index) -> None:
    people, video = found.people, found.videos.iloc[0]
    facts.labeled += int(found.frames["labelled"].sum())
    facts.people += len(people)
    facts.no_crop += len(people) - len(ground_truth_boxes(people, found.videos))
    facts.no_head += int(people["head_w"].isna().sum())
    if people.empty:
        return
    boxes = people[[f"box_{side}" for side in "xywh"]].to_numpy()
    clipped = clip_boxes(boxes, (int(video["height"]), int(video["width"])))
    facts.boxes_beyond += int((np.abs(clipped - boxes) > 1).any(axis=1).sum())
    slots = np.stack(people["keypoints"].tolist()).reshape(-1, len(SLOTS), 3)
    labeled = (slots[:, JOINT_SLOTS] != 0).any(axis=2).sum(axis=0)
    for joint, count in zip(JOINTS, labeled, strict=True):
        facts.joints[joint] += int(count)


def _release(data_set: str, val_files: int) -> str:
    """Return what release of labels the number of validation files tells of."""
    if data_set == "posetrack18":
        known = _RELEASES.get(val_files, "unknown")
        return f"{known} ({val_files} validation files; 74 are release 0.2, 170 are 0.45)"
    return f"{val_files} validation files"


def _skipped(splits: Mapping[str, SplitFacts]) -> list[dict[str, Any]]:
    """Return what the pipeline will leave out, how often, and why."""
    rows = []
    for split, facts in splits.items():
        unlabeled = facts.frames - facts.labeled
        for what, count, why in (
            ("frames without labels", unlabeled, "no key frames; neighbors of labeled ones"),
            ("people", facts.no_crop, "no labeled joint, or no part of their box in the image"),
            (
                "people in poseval's AP",
                facts.no_head if split == "val" else 0,
                "no head box, which scales the distance of a match: every joint is a miss",
            ),
        ):
            if count:
                rows.append({"split": split, "what": what, "count": count, "why": why})
    return rows
