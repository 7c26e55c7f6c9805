"""A file with many videos is split into one file per video; a single-video file is unchanged."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.posetrack.reader import read_annotations
from pipeline.importing.coco_video import split_videos
from tests.small_data_set import document, write_json

Document = dict[str, Any]


def merge(*documents: Document) -> Document:
    merged: Document = {"images": [], "annotations": [], "categories": documents[0]["categories"]}
    for part in documents:
        merged["images"] += part["images"]
        merged["annotations"] += part["annotations"]
    return merged


def split_file(file: Path, root: Path) -> dict[str, Document]:
    return {name: json.loads(content) for name, content in split_videos(file, root)}


def test_every_video_keeps_its_frames_and_people(tmp_path: Path) -> None:
    first, second = document("val", 3), document("val", 4)
    write_json(tmp_path / "posetrack_val.json", merge(first, second))
    assert split_file(tmp_path / "posetrack_val.json", tmp_path) == {"v3": first, "v4": second}


def test_videos_without_id_are_split_by_folder(tmp_path: Path) -> None:
    merged = merge(document("val", 3), document("val", 4))
    for image in merged["images"]:
        del image["vid_id"]
    write_json(tmp_path / "all.json", merged)
    found = split_file(tmp_path / "all.json", tmp_path)
    assert [len(part["images"]) for part in found.values()] == [5, 5]
    assert [len(part["annotations"]) for part in found.values()] == [6, 6]


def test_names_are_taken_from_the_list_of_videos(tmp_path: Path) -> None:
    merged = merge(document("val", 3), document("val", 4))
    for image in merged["images"]:
        image["video_id"] = {"v3": 1, "v4": 2}[image.pop("vid_id")]
    merged["videos"] = [{"id": 1, "name": "clips/street"}, {"id": 2, "name": "park"}]
    write_json(tmp_path / "all.json", merged)
    assert list(split_file(tmp_path / "all.json", tmp_path)) == ["street", "park"]


def test_videos_of_the_same_name_in_two_folders_get_unique_names(tmp_path: Path) -> None:
    merged = merge(document("val", 3), document("val", 4))
    for image in merged["images"]:
        folder = {"v3": "bonn", "v4": "mpii"}[image.pop("vid_id")]
        image["file_name"] = f"images/{folder}/0001/{image['file_name'][-10:]}"
    write_json(tmp_path / "all.json", merged)
    assert list(split_file(tmp_path / "all.json", tmp_path)) == ["bonn_0001", "mpii_0001"]


def test_frame_paths_are_relative_to_the_root(tmp_path: Path) -> None:
    merged = merge(document("val", 3), document("val", 4))
    for image in merged["images"]:
        image["file_name"] = image["file_name"].removeprefix("images/")
    frame = tmp_path / "images_renamed/val/v3/000000.png"
    frame.parent.mkdir(parents=True)
    frame.touch()
    write_json(tmp_path / "all.json", merged)
    found = split_file(tmp_path / "all.json", tmp_path)
    assert found["v4"]["images"][1]["file_name"] == "images_renamed/val/v4/000001.png"


@pytest.mark.parametrize("content", [document("val", 3), {"annolist": []}, [], {"images": []}])
def test_any_other_file_is_returned_unchanged(content: object, tmp_path: Path) -> None:
    file = tmp_path / "clip.json"
    file.write_text(json.dumps(content, indent=3))
    assert list(split_videos(file, tmp_path)) == [("clip", file.read_bytes())]


def test_the_files_of_the_videos_are_readable(tmp_path: Path) -> None:
    write_json(tmp_path / "all.json", merge(document("val", 3), document("val", 4)))
    for name, content in split_videos(tmp_path / "all.json", tmp_path):
        (tmp_path / f"{name}.json").write_bytes(content)
        read = read_annotations(tmp_path / f"{name}.json")
        assert len(read.file_names) == 5
        assert len(read.people.frame) == 6


def test_an_annotation_without_image_is_named(tmp_path: Path) -> None:
    merged = merge(document("val", 3), document("val", 4))
    merged["annotations"][2]["image_id"] = 77
    write_json(tmp_path / "all.json", merged)
    with pytest.raises(ValueError, match=r"all\.json: .* got KeyError\(77\)"):
        list(split_videos(tmp_path / "all.json", tmp_path))
