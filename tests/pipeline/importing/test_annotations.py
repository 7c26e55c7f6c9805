"""Every official layout is imported as a folder of videos that the index reads."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.core.manifest import read_manifest, write_manifest
from pipeline.dataset.index import Index, index_data_set
from pipeline.dataset.layout import find_data_set_files, find_frames
from pipeline.importing.annotations import check_release_format, import_annotations
from tests.official_trees import FRAMES, LAYOUTS, VIDEOS, labels, write_tree
from tests.small_data_set import joints, write_json


def imported_index(root: Path, folder: Path) -> Index:
    source = find_data_set_files(root)
    files = import_annotations(source, folder / "annotations")
    write_manifest(folder / "frames.manifest", source.root, find_frames(source.root, files))
    manifest = read_manifest(folder / "frames.manifest")
    return index_data_set(folder / "annotations", manifest, source.root)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_people_in_the_same_frames(layout: str, tmp_path: Path) -> None:
    write_tree(tmp_path / "given", layout)
    found = imported_index(tmp_path / "given", tmp_path / "imported")

    for split, video in VIDEOS.items():
        rows = found.frames[(found.frames["video"] == f"v{video}")]
        assert set(rows["split"]) == {split}
        assert list(rows["labelled"]) == [True, False, True, False, True]
        assert len(rows) == FRAMES
        people = found.people[found.people["video"] == f"v{video}"]
        assert list(people["frame"]) == [0, 0, 2, 2, 4, 4]
        assert list(people["track_id"]) == [0, 1] * 3
        keypoints = np.stack(people["keypoints"].tolist()).reshape(3, 2, 17, 3)
        for i, frame in enumerate((0, 2, 4)):
            for person in (0, 1):
                np.testing.assert_array_equal(keypoints[i, person], joints(video, frame, person))
        np.testing.assert_array_equal(people["head_w"], [4.0] * 6)
    form = "posetrack18" if layout == "coco_video" else layout
    assert set(found.videos["form"]) == {form}


def test_train_labels_may_be_a_conversion(tmp_path: Path) -> None:
    write_tree(tmp_path / "given", "posetrack17")
    train = tmp_path / "given/annotations/train/v1.json"
    train.unlink()
    content = labels("posetrack18", "train")
    for number, image in enumerate(content["images"]):
        image["file_name"] = f"images/bonn_5sec/v1/{number + 1:08d}.jpg"
    write_json(tmp_path / "given/annotations/posetrack_train.json", content)

    found = imported_index(tmp_path / "given", tmp_path / "imported")

    check_release_format("posetrack17", tmp_path / "imported/annotations")
    assert dict(zip(found.videos["split"], found.videos["form"], strict=True)) == {
        "train": "posetrack18",
        "val": "posetrack17",
    }


@pytest.mark.parametrize(
    ("release", "layout"),
    [
        ("posetrack17", "coco_video"),
        ("posetrack17", "posetrack18"),
        ("posetrack18", "posetrack17"),
        ("posetrack18", "posetrack21"),
        ("posetrack21", "posetrack18"),
    ],
)
def test_validation_labels_of_another_format_raise_an_error(
    release: str, layout: str, tmp_path: Path
) -> None:
    write_tree(tmp_path / "given", layout)
    import_annotations(find_data_set_files(tmp_path / "given"), tmp_path / "imported")
    form = "posetrack18" if layout == "coco_video" else layout
    with pytest.raises(ValueError, match=f"labels of {release}, .* got those of {form}"):
        check_release_format(release, tmp_path / "imported")
    check_release_format("my_videos", tmp_path / "imported")


def test_two_videos_of_the_same_name_raise_an_error(tmp_path: Path) -> None:
    write_tree(tmp_path / "given", "coco_video")
    source = find_data_set_files(tmp_path / "given")
    twice = source._replace(annotations={"val": source.annotations["val"] * 2})
    with pytest.raises(ValueError, match="got 'v3' twice"):
        import_annotations(twice, tmp_path / "imported")
