"""Index tables: content for every file format, and invalid data sets."""

import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from pipeline.core.manifest import read_manifest, write_manifest
from pipeline.core.tables.parquet import digest_rows
from pipeline.core.tables.schemas import FRAMES, PEOPLE, VIDEOS
from pipeline.dataset.index import Index, index_data_set
from tests.small_data_set import (
    HEIGHT,
    WIDTH,
    document,
    joints,
    make_data_set,
    picture,
    write_frames_manifest,
    write_json,
    write_video,
)

BOX = ["box_x", "box_y", "box_w", "box_h"]


def index(root: Path) -> Index:
    return index_data_set(root / "annotations", read_manifest(root / "frames.manifest"), root)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    make_data_set(tmp_path)
    return tmp_path


def test_the_tables_contain_what_the_files_contain(root: Path) -> None:
    found = index(root)
    assert list(found.videos["video"]) == ["v1", "v2", "v3"]
    assert list(found.videos["split"]) == ["train", "train", "val"]
    assert set(found.videos["frames"]) == {5}
    assert (found.videos["height"] == HEIGHT).all()
    assert (found.videos["width"] == WIDTH).all()
    assert set(found.videos["form"]) == {"posetrack18"}
    assert list(found.videos["annotation"]) == ["train/v1.json", "train/v2.json", "val/v3.json"]
    frames = found.frames[found.frames["video"] == "v3"]
    assert list(frames["file"]) == [f"images/val/v3/{i:06d}.png" for i in range(5)]
    assert list(frames["image_id"]) == [3000 + i for i in range(5)]
    assert list(frames["labelled"]) == [True, False, True, False, True]
    person = found.people[(found.people["video"] == "v2") & (found.people["frame"] == 4)].iloc[1]
    assert person["person"] == 1
    assert person["annotation_id"] == 20041
    np.testing.assert_array_equal(person["keypoints"], joints(2, 4, 1).ravel())
    x, y = joints(2, 4, 1)[0, :2]
    np.testing.assert_array_equal(person[BOX], [x - 8, y - 10, 16, 20])


def test_the_tables_match_their_schemas_and_do_not_depend_on_the_order_of_files(
    root: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("other")
    for split, video in (("val", 3), ("train", 2), ("train", 1)):
        write_video(other, split, video)
    write_frames_manifest(other)
    for name, schema in (("videos", VIDEOS), ("frames", FRAMES), ("people", PEOPLE)):
        tables = [getattr(index(folder), name) for folder in (root, other)]
        assert len({digest_rows(table, schema) for table in tables}) == 1


def test_frames_on_disk_without_annotation_are_indexed(root: Path) -> None:
    content = document("val", 3)
    content["images"] = [image for image in content["images"] if image["is_labeled"]]
    write_json(root / "annotations/val/v3.json", content)
    frames = index(root).frames
    frames = frames[frames["video"] == "v3"]
    assert list(frames["image_id"]) == [3000, -1, 3002, -1, 3004]
    assert list(frames["entry"]) == [0, -1, 1, -1, 2]
    assert list(frames["labelled"]) == [True, False, True, False, True]


def test_frames_are_in_temporal_order_for_any_order_in_the_file(root: Path) -> None:
    content = document("val", 3)
    content["images"].reverse()
    write_json(root / "annotations/val/v3.json", content)
    found = index(root)
    frames = found.frames[found.frames["video"] == "v3"]
    assert list(frames["entry"]) == [4, 3, 2, 1, 0]
    people = found.people[found.people["video"] == "v3"]
    assert list(people["frame"]) == [0, 0, 2, 2, 4, 4]
    np.testing.assert_array_equal(people["keypoints"].iloc[0], joints(3, 0, 0).ravel())


def test_frame_numbers_without_leading_zeros_are_sorted_numerically(tmp_path: Path) -> None:
    content = document("val", 3, frames=12, labeled=(0,))
    for frame, image in enumerate(content["images"]):
        image["file_name"] = f"images/val/v3/frame_{frame}.png"
        (tmp_path / image["file_name"]).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(tmp_path / image["file_name"]), picture(3, frame))
    write_json(tmp_path / "annotations/val/v3.json", content)
    write_frames_manifest(tmp_path)
    files = index(tmp_path).frames["file"]
    assert list(files) == [f"images/val/v3/frame_{frame}.png" for frame in range(12)]


def test_frames_with_people_are_labeled_regardless_of_the_flag(root: Path) -> None:
    content = document("val", 3)
    for image in content["images"]:
        image["is_labeled"] = False
    write_json(root / "annotations/val/v3.json", content)
    frames = index(root).frames
    assert list(frames[frames["video"] == "v3"]["labelled"]) == [True, False, True, False, True]


def test_ignore_regions_and_tags_are_kept(root: Path) -> None:
    content = document("val", 3)
    content["images"][2] |= {
        "ignore_regions_x": [[1, 5, 5], [0, 2, 1]],
        "ignore_regions_y": [[1, 1, 4], [7, 7, 9]],
        "tag": "blurred",
    }
    write_json(root / "annotations/val/v3.json", content)
    frames = index(root).frames
    row = frames[(frames["video"] == "v3") & (frames["frame"] == 2)].iloc[0]
    assert json.loads(row["ignore"]) == [[[1, 5, 5], [1, 1, 4]], [[0, 2, 1], [7, 7, 9]]]
    assert row["tag"] == "blurred"
    assert set(frames[frames["frame"] != 2]["ignore"]) == {""}


def test_a_missing_image_size_is_read_from_the_first_frame(root: Path) -> None:
    content = document("val", 3)
    for image in content["images"]:
        del image["height"], image["width"]
    write_json(root / "annotations/val/v3.json", content)
    assert list(index(root).videos.iloc[2][["height", "width"]]) == [HEIGHT, WIDTH]


def test_posetrack17_boxes_are_the_extent_of_the_joints_times_1_2(tmp_path: Path) -> None:
    write_video(tmp_path, "val", 3, frames=1, labeled=())
    points = [
        {"id": [0], "x": [10.0], "y": [40.0], "is_visible": [1]},
        {"id": [14], "x": [30.0], "y": [20.0], "is_visible": [0]},
    ]
    head = {"x1": [1], "y1": [2], "x2": [5], "y2": [9]}
    person = {"annopoints": [{"point": points}], "track_id": [7], **head}
    entry = {"image": [{"name": "images/val/v3/000000.png"}], "annorect": [person], "imgnum": [1]}
    write_json(tmp_path / "annotations/val/v3.json", {"annolist": [entry]})
    write_frames_manifest(tmp_path)
    found = index(tmp_path)
    row = found.people.iloc[0]
    # The extent is 10..30 x 20..40: sides of 20, times 1.2, around (20, 30).
    np.testing.assert_allclose(row[BOX].astype(float), [8, 18, 24, 24])
    assert list(row[["head_x", "head_y", "head_w", "head_h"]]) == [1, 2, 4, 7]
    assert found.videos.iloc[0]["form"] == "posetrack17"
    assert row["track_id"] == 7


def test_a_video_without_people_has_frames_but_no_people(tmp_path: Path) -> None:
    write_video(tmp_path, "val", 3, people=0)
    write_frames_manifest(tmp_path)
    found = index(tmp_path)
    assert len(found.frames) == 5
    assert list(found.frames["labelled"]) == [True, False, True, False, True]
    assert digest_rows(found.people, PEOPLE) == digest_rows(
        pd.DataFrame(columns=PEOPLE.names), PEOPLE
    )


def test_a_data_set_without_videos_gives_three_empty_tables(tmp_path: Path) -> None:
    write_manifest(tmp_path / "frames.manifest", tmp_path, [])
    found = index(tmp_path)
    for table, schema in ((found.videos, VIDEOS), (found.frames, FRAMES), (found.people, PEOPLE)):
        assert len(table) == 0
        assert digest_rows(table, schema) == digest_rows(pd.DataFrame(columns=schema.names), schema)


def test_frames_without_annotations_raise_an_error(root: Path) -> None:
    with pytest.raises(ValueError, match="the manifest lists 15 frames"):
        index_data_set(root / "nowhere", read_manifest(root / "frames.manifest"), root)


@pytest.mark.parametrize(
    ("position", "name", "message"),
    [
        (1, "images/val/v3/000009.png", r"'images/val/v3/000009\.png' is not in the manifest"),
        (1, "images/val/v3/000002.png", r"'images/val/v3/000002\.png' twice"),
        (1, "images/val/other/000001.png", r"frames in \['images/val/other', 'images/val/v3'\]"),
        (1, "../../../etc/passwd", r"got '\.\./\.\./\.\./etc/passwd'"),
        (1, "/etc/passwd", "got '/etc/passwd'"),
        (1, "C:\\frames\\1.png", "relative to the data set's folder"),
        (1, "\\\\host\\share\\1.png", "relative to the data set's folder"),
        (1, "a\0.png", "relative to the data set's folder"),
    ],
)
def test_an_invalid_frame_name_raises_an_error(
    position: int, name: str, message: str, root: Path
) -> None:
    content = document("val", 3)
    content["images"][position]["file_name"] = name
    write_json(root / "annotations/val/v3.json", content)
    with pytest.raises(ValueError, match=message):
        index(root)


def test_a_gap_in_the_frame_numbers_is_named(root: Path) -> None:
    content = document("val", 3)
    del content["images"][1]
    write_json(root / "annotations/val/v3.json", content)
    (root / "images/val/v3/000001.png").unlink()
    write_frames_manifest(root)
    with pytest.raises(ValueError, match=r"got 'images/val/v3/000002\.png' after .*000000\.png"):
        index(root)


def test_a_duplicate_frame_number_is_named(root: Path) -> None:
    cv2.imwrite(str(root / "images/val/v3/000002.jpg"), picture(3, 2))
    write_frames_manifest(root)
    with pytest.raises(ValueError, match=r"got '.*000002\.png' after '.*000002\.jpg'"):
        index(root)


def test_every_second_frame_is_an_evenly_numbered_sequence(tmp_path: Path) -> None:
    write_video(tmp_path, "val", 3)
    content = document("val", 3)
    content["images"] = content["images"][::2]
    write_json(tmp_path / "annotations/val/v3.json", content)
    for frame in (1, 3):
        (tmp_path / f"images/val/v3/{frame:06d}.png").unlink()
    write_frames_manifest(tmp_path)
    assert len(index(tmp_path).frames) == 3


def test_frames_of_several_sizes_raise_an_error(root: Path) -> None:
    content = document("val", 3)
    content["images"][4]["width"] = 7
    write_json(root / "annotations/val/v3.json", content)
    with pytest.raises(ValueError, match="expected frames of one size"):
        index(root)


@pytest.mark.parametrize("name", [".hidden", "__v3", "a\nb", "digests.json", "clips.parquet"])
def test_a_video_name_reserved_by_stores_raises_an_error(name: str, root: Path) -> None:
    (root / "annotations/val/v3.json").rename(root / f"annotations/val/{name}.json")
    with pytest.raises(ValueError, match="rename the file"):
        index(root)


@pytest.mark.parametrize("name", ["a b", "it's", "$(touch x)", "semi;colon", 'quo"te', "čeština"])
def test_unusual_video_names_are_accepted(name: str, root: Path) -> None:
    (root / "annotations/val/v3.json").rename(root / f"annotations/val/{name}.json")
    assert list(index(root).videos["video"])[2] == name


def test_the_real_posetrack18_samples_are_indexed(shared: Path, tmp_path: Path) -> None:
    samples = shared / "real/mmpose_tests_data/posetrack18"
    for file in (samples / "annotations/val").glob("*.json"):
        write_json(tmp_path / "annotations/val" / file.name, json.loads(file.read_text()))
    frames = [file.relative_to(samples).as_posix() for file in samples.glob("images/val/*/*.jpg")]
    write_manifest(tmp_path / "frames.manifest", samples, frames)
    manifest = read_manifest(tmp_path / "frames.manifest")
    found = index_data_set(tmp_path / "annotations", manifest, samples)
    assert len(found.videos) == 3
    assert list(found.people.groupby("video").size()) == [1, 2, 11]
    labeled = sum((np.reshape(row, (17, 3))[:, 2] > 0).sum() for row in found.people["keypoints"])
    assert labeled == 182
