"""Data sets are found in the layouts of the official archives."""

import errno
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.dataset.layout import find_data_set_files, find_frames


def annotated(file: Path, *frames: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"images": [{"file_name": name} for name in frames]}))
    return file


def write_image(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"x")


def test_the_layout_of_posetrack18_is_found(tmp_path: Path) -> None:
    train = annotated(tmp_path / "annotations/train/b.json", "images/train/b/000000.jpg")
    val = annotated(tmp_path / "annotations/val/a.json", "images/val/a/000000.jpg")
    annotated(tmp_path / "annotations/test/c.json", "images/test/c/000000.jpg")
    write_image(tmp_path / "images/val/a/000000.jpg")
    assert find_data_set_files(tmp_path) == (tmp_path, {"train": [train], "val": [val]})


@pytest.mark.parametrize(
    "folder",
    [
        "posetrack_data/annotations",
        "posetrack18_v0.45_public_labels/posetrack_data/annotations",
        "posetrack_data",
    ],
)
def test_labels_are_found_where_their_archive_unpacks_to(folder: str, tmp_path: Path) -> None:
    val = annotated(tmp_path / folder / "val/a.json", "images/val/a/000000.jpg")
    write_image(tmp_path / "images/val/a/000000.jpg")
    # PoseTrack21 contains further annotations of another kind.
    (tmp_path / "posetrack_person_search").mkdir()
    (tmp_path / "posetrack_person_search/val.json").write_text("{}")
    assert find_data_set_files(tmp_path) == (tmp_path, {"train": [], "val": [val]})


def test_frames_beside_the_labels_are_found(tmp_path: Path) -> None:
    annotated(tmp_path / "posetrack_data/annotations/val/a.json", "images/bonn/a/00000001.jpg")
    write_image(tmp_path / "posetrack_data/images/bonn/a/00000001.jpg")
    assert find_data_set_files(tmp_path).root == tmp_path / "posetrack_data"


@pytest.mark.parametrize("below", ["images", "images_renamed"])
def test_frame_names_may_be_relative_to_the_folder_of_the_images(
    below: str, tmp_path: Path
) -> None:
    annotated(tmp_path / "annotations/val/a.json", "bonn/a/00000001.jpg")
    write_image(tmp_path / below / "bonn/a/00000001.jpg")
    assert find_data_set_files(tmp_path).root == tmp_path / below


def test_one_split_may_be_a_file_and_the_other_a_folder(tmp_path: Path) -> None:
    train = annotated(tmp_path / "annotations/posetrack_train.json", "images/b/00000001.jpg")
    val = annotated(tmp_path / "annotations/val/a.json", "images/a/00000001.jpg")
    assert find_data_set_files(tmp_path).annotations == {"train": [train], "val": [val]}


def test_two_releases_of_labels_and_two_files_of_a_split_raise_an_error(tmp_path: Path) -> None:
    annotated(tmp_path / "annotations/val/a.json", "images/val/a/000000.jpg")
    annotated(tmp_path / "old/posetrack_data/annotations/val/a.json", "images/val/a/000000.jpg")
    with pytest.raises(ValueError, match=r"in \['annotations', 'old/posetrack_data/annotations'\]"):
        find_data_set_files(tmp_path)
    other = tmp_path / "other"
    for name in ("captions_val.json", "keypoints_val.json"):
        annotated(other / "annotations" / name, "images/a/000000.jpg")
    with pytest.raises(ValueError, match=r"split val, got \['captions_val.json', 'keypoints_val"):
        find_data_set_files(other)


def test_annotation_files_in_the_given_folder_are_validation_videos(tmp_path: Path) -> None:
    file = annotated(tmp_path / "060470979.json", "images/060470979/00001.jpg")
    assert find_data_set_files(tmp_path) == (tmp_path, {"train": [], "val": [file]})


def test_the_error_for_a_folder_without_annotations_lists_the_layouts(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"annotations/<train\|val>/\*\.json, posetrack_data/<tr"):
        find_data_set_files(tmp_path)


def test_every_image_beside_an_annotated_frame_is_a_frame(tmp_path: Path) -> None:
    file = annotated(tmp_path / "a.json", "images/a/000000.jpg")
    for name in ("000001.jpg", "000000.jpg", "000002.PNG", "notes.txt"):
        write_image(tmp_path / "images/a" / name)
    write_image(tmp_path / "images/b/000000.jpg")
    names = ["images/a/000000.jpg", "images/a/000001.jpg", "images/a/000002.PNG"]
    assert find_frames(tmp_path, [file]) == names


def test_frames_directly_in_the_folder_of_the_data_set_keep_their_names(tmp_path: Path) -> None:
    file = annotated(tmp_path / "a.json", "000000.jpg")
    write_image(tmp_path / "images/000000.jpg")
    assert find_data_set_files(tmp_path).root == tmp_path / "images"
    assert find_frames(tmp_path / "images", [file]) == ["000000.jpg"]


def test_frames_of_a_2017_file_are_found_by_their_image_names(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    entries = [{"image": [{"name": "images/bonn/v/00000001.jpg"}], "annorect": []}]
    file.write_text(json.dumps({"annolist": entries}))
    write_image(tmp_path / "images/bonn/v/00000001.jpg")
    assert find_frames(tmp_path, [file]) == ["images/bonn/v/00000001.jpg"]


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ("../outside/000000.jpg", "expected a path inside"),
        ("images/missing/000000.jpg", "expected this folder of an annotation, found nothing"),
    ],
)
def test_an_invalid_frame_folder_is_named(tmp_path: Path, frame: str, message: str) -> None:
    (tmp_path / "outside").mkdir()
    root = tmp_path / "root"
    file = annotated(root / "a.json", frame)
    with pytest.raises(ValueError, match=message):
        find_frames(root, [file])


@pytest.mark.parametrize("text", ["{}", "[]", "5", '{"images": [{}]}', '{"images": [5]}'])
def test_a_file_that_is_not_an_annotation_file_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "a.json"
    file.write_text(text)
    with pytest.raises(ValueError, match=r"a\.json: expected a PoseTrack annotation file"):
        find_frames(tmp_path, [file])


def test_a_file_without_frames_is_named(tmp_path: Path) -> None:
    annotated(tmp_path / "a.json")
    with pytest.raises(ValueError, match=r"a\.json: expected at least one frame"):
        find_frames(tmp_path, [tmp_path / "a.json"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"images": [', r"a\.json: line 1, .*; write the file again, it may be truncated"),
        (b"", r"a\.json: expected JSON, got an empty file; write the file again"),
        (b'\xef\xbb\xbf{"images": []}', r"a\.json: .* byte order mark .*; save the file without"),
        (b'{"tag": "K\xf6ln"}', r"a\.json: expected UTF-8 text, got byte 0xf6 at offset 10"),
        (b"[" * 200_000, r"a\.json: expected a few levels of nesting, got hundreds"),
        (b'{"id": ' + b"9" * 5_000 + b"}", r"a\.json: got an integer of thousands of digits"),
    ],
)
def test_an_annotation_that_is_not_valid_json_is_named_with_its_cure(
    content: bytes, message: str, tmp_path: Path
) -> None:
    file = tmp_path / "a.json"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        find_frames(tmp_path, [file])
    with pytest.raises(ValueError, match=message):
        find_data_set_files(tmp_path)


def test_a_folder_of_frames_that_cannot_be_read_is_named_with_a_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = annotated(tmp_path / "a.json", "images/a/000000.jpg")
    write_image(tmp_path / "images/a/000000.jpg")

    def refuse(path: Path) -> Iterator[Path]:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(ValueError, match=r"images/a: .* got Permission denied; change its perm"):
        find_frames(tmp_path, [file])
