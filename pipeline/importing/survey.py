"""Survey of a data set before import: its content, what will be skipped, and its faults."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from pipeline.core.frames.images import decode_image, locate, read_image_bytes
from pipeline.core.geometry.boxes import clip_boxes
from pipeline.core.manifest import FrameFile
from pipeline.core.posetrack.annotations import People, has_empty_head
from pipeline.core.posetrack.reader import read_annotations
from pipeline.core.skeleton import JOINT_SLOTS, JOINTS, SLOTS
from pipeline.core.units.progress import progress
from pipeline.dataset.index import Index, group_by_folder, index_video
from pipeline.dataset.layout import SPLITS, find_frames
from pipeline.detection.detections import count_omitted
from pipeline.evaluation.provenance import label_version

_READERS = 4
"""Number of images decoded in parallel."""
_RELEASES = {74: "0.2", 170: "0.45"}
"""Label releases of PoseTrack18 by the number of validation files."""

Size = tuple[int, int]


@dataclass(slots=True)
class SplitFacts:
    """Content of a split."""

    videos: int = 0
    frames: int = 0
    """Frames on disk, labeled or not."""
    missing: int = 0
    """Annotated frames that are not on disk."""
    labeled: int = 0
    people: int = 0
    boxes_beyond: int = 0
    """Person boxes that extend beyond the image; they are clipped."""
    unreadable: int = 0
    joints: dict[str, int] = field(default_factory=lambda: dict.fromkeys(JOINTS, 0))
    """Number of labeled joints by name, including occluded ones."""
    no_crop: dict[str, int] = field(default_factory=dict)
    """Number of people who are not cropped, by reason."""
    empty_heads: int = 0
    """People with joints and a head box of zero size."""


class Survey(NamedTuple):
    """Result of a survey: facts, and the manifest of all images."""

    facts: dict[str, Any]
    """``data_set``, ``labels``, ``sha256`` of the labels, ``splits``, ``skipped``, ``faults``."""
    manifest: dict[str, FrameFile]

    @property
    def faults(self) -> list[str]:
        """Errors that prevent the pipeline from running, one line each."""
        found: list[str] = self.facts["faults"]
        return found


@dataclass(frozen=True, slots=True)
class _Images:
    """All images of the data set."""

    manifest: dict[str, FrameFile]
    """Entries of all images; unreadable images have an empty digest."""
    sizes: dict[str, Size]
    """Height and width of the readable images."""
    faults: dict[str, str]
    """Error messages of the unreadable images."""
    folders: dict[str, list[str]]
    """Images by folder."""


def survey(annotations: Path, root: Path) -> Survey:
    """Read all labels and all images of a data set.

    Args:
        annotations: Folder with ``<train|val>/<video>.json``, one video per file.
        root: Folder that frame paths are relative to.
    """
    files = {split: sorted((annotations / split).glob("*.json")) for split in SPLITS}
    faults: list[str] = []
    frames: set[str] = set()
    for file in (file for split in SPLITS for file in files[split]):
        try:
            frames |= set(find_frames(root, [file]))
        except ValueError as error:
            faults.append(str(error))
    images = _read_images(root, sorted(frames))
    splits = {split: SplitFacts() for split in SPLITS}
    forms: set[str] = set()
    for split, files_of_split in files.items():
        for file in files_of_split:
            try:
                forms.add(_add_video(splits[split], file, split, images, root))
            except ValueError as error:
                faults.append(str(error))
    faults += images.faults.values()
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
    return Survey(facts, images.manifest)


def _line(fault: str, annotations: Path) -> str:
    """Return a fault on one line, without the annotation folder, which may be temporary."""
    return " ".join(fault.replace(f"{annotations}/", "").split())


def _read_images(root: Path, names: list[str]) -> _Images:
    """Hash and decode all images."""
    images = _Images({}, {}, {}, group_by_folder(names))

    def read(name: str) -> tuple[FrameFile, Size | str]:
        try:
            file = locate(root, name)
            data = read_image_bytes(file)
            height, width = decode_image(file, data, None).shape[:2]
            return FrameFile(sha256(data).hexdigest(), len(data)), (height, width)
        except ValueError as error:
            # An empty entry, so that the rest of the video is still checked.
            return FrameFile("", 0), str(error)

    with (
        progress("check_data", len(names), "images") as advance,
        ThreadPoolExecutor(_READERS) as readers,
    ):
        for name, (entry, found) in zip(names, readers.map(read, names), strict=True):
            images.manifest[name] = entry
            if isinstance(found, str):
                images.faults[name] = found
            else:
                images.sizes[name] = found
            advance()
    return images


def _add_video(facts: SplitFacts, file: Path, split: str, images: _Images, root: Path) -> str:
    """Add a video to the facts of its split and return its file format.

    Raises:
        ValueError: If the stage index would reject it, or its images have several sizes.
    """
    facts.videos += 1
    read = read_annotations(file)
    folders = {PurePosixPath(name).parent.as_posix() for name in read.file_names}
    known = {name for folder in folders for name in images.folders.get(folder, [])}
    facts.frames += len(known)
    facts.missing += len(set(read.file_names) - known)
    facts.unreadable += len(known & set(images.faults))
    facts.empty_heads += int(has_empty_head(read.people).sum())
    found = index_video(file, split, images.folders, images.manifest, root)
    _add_people(facts, found)
    if split == "val":
        _check_heads(file, read.people)
    sizes = {images.sizes[name] for name in found.frames["file"] if name in images.sizes}
    video = found.videos.iloc[0]
    if sizes - {(video["height"], video["width"])}:
        raise ValueError(
            f"{file.name}: expected images of {video['height']} x {video['width']} (height x "
            f"width), as in the labels or the first frame, got {sorted(sizes)}; restore the frames"
        )
    return read.format


def _check_heads(file: Path, people: People) -> None:
    """Check that the people of a validation video have head boxes; the stage evaluate needs them.

    Raises:
        ValueError: If a person with joints has none.
    """
    labeled = people.present[:, JOINT_SLOTS].any(axis=1)
    without = labeled & np.isnan(people.heads_xywh).any(axis=1)
    if without.any():
        raise ValueError(
            f"{file.name}: expected a head box (`bbox_head`) for every person with joints in a "
            f"validation video, because PoseTrack AP measures distances in head sizes, got "
            f"{without.sum()} of {labeled.sum()} people without; add the boxes or move the video "
            "to the training split"
        )


def _add_people(facts: SplitFacts, found: Index) -> None:
    people, video = found.people, found.videos.iloc[0]
    facts.labeled += int(found.frames["labelled"].sum())
    facts.people += len(people)
    for reason, count in count_omitted(people, found.videos).items():
        facts.no_crop[reason] = facts.no_crop.get(reason, 0) + count
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
    """Return the label release, derived from the number of validation files."""
    if data_set == "posetrack18":
        known = _RELEASES.get(val_files, "unknown")
        return f"{known} ({val_files} validation files; 74 are release 0.2, 170 are 0.45)"
    return f"{val_files} validation files"


def _skipped(splits: Mapping[str, SplitFacts]) -> list[dict[str, Any]]:
    """Return what the pipeline will skip: kind, count and reason."""
    return [
        {"split": split, "what": what, "count": count, "why": why}
        for split, facts in splits.items()
        for what, count, why in _skipped_in(facts, split)
        if count
    ]


def _skipped_in(facts: SplitFacts, split: str) -> Iterator[tuple[str, int, str]]:
    unlabeled = facts.frames - facts.labeled
    yield "frames without labels", unlabeled, "not key frames, only neighbors of labeled frames"
    for reason, count in facts.no_crop.items():
        yield f"people {reason}", count, "not cropped"
    if split == "val":
        why = "head box of zero size, which scales the matching distance: every joint is missed"
        yield "people in poseval's AP", facts.empty_heads, why
    joints = [name for name, count in facts.joints.items() if facts.people and not count]
    yield "joints", len(joints), f"without labels, weight 0 in training: {', '.join(joints)}"
