"""Stage crop: pixels and joints agree, unchanged units are reused, bad frames are errors."""

import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from pipeline.core.caches.clip_table import read_clips
from pipeline.core.skeleton import JOINTS
from pipeline.core.store.reader import Store
from stages import detect, index
from stages.crop import app
from tests.small_data_set import (
    Workspace,
    document,
    joints,
    make_data_set,
    write_frames_manifest,
    write_json,
    write_video,
)

NOSE = JOINTS.index("nose")
HRNET = ("--input", "hrnet", "--split")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a workspace with the small data set, its index and its boxes."""
    folder = tmp_path_factory.mktemp("template")
    with pytest.MonkeyPatch.context() as monkeypatch:
        workspace = Workspace(folder, monkeypatch)
        make_data_set(workspace.root)
        prepare(workspace)
    return folder


@pytest.fixture
def workspace(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    return Workspace(tmp_path, monkeypatch, template)


def prepare(workspace: Workspace, *splits: str) -> None:
    """Run the stages index and detect, the latter for the given splits or for all."""
    assert workspace.run(index.app).exit_code == 0
    for split in splits or ("train", "val", "val_gt"):
        assert workspace.run(detect.app, "--split", split).exit_code == 0


def crop(workspace: Workspace, *arguments: str) -> str:
    result = workspace.run(app, *arguments)
    assert result.exit_code == 0, result.stderr
    return result.output.splitlines()[-1]


def clips(name: str) -> tuple[pd.DataFrame, Store]:
    """Return the clip table and the crops of ``<input>/<split>``."""
    return read_clips(Path(f"data/clips/{name}.parquet")), Store(Path("data/crops", name), "crops")


def test_the_painted_nose_is_at_the_keypoint_of_the_clip_table_in_every_variant_and_frame(
    workspace: Workspace,
) -> None:
    """All frames of a clip and its joints share one transform; the tolerance is 0.2 pixels."""
    workspace.set_params(crop__variants=6)
    crop(workspace, *HRNET, "train")
    table, store = clips("hrnet/train")
    assert len(table) == 2 * 6 * 6
    seen = 0
    for row in table.to_dict("records"):
        pixels = store.read(f"{row['video']}/v{row['variant']}", [row["clip"]])[0]
        matrix = row["to_crop"].reshape(2, 3)
        for step, frame in enumerate(row["frames"]):
            x, y = joints(int(row["video"][1:]), frame, row["person"])[0, :2]
            expected = matrix @ [x, y, 1]
            if row["frame"] == frame:
                nose = row["keypoints"].reshape(15, 2)[NOSE]
                np.testing.assert_allclose(nose, expected, atol=1e-9)
            if not (10 < expected[0] < 85 and 10 < expected[1] < 117):
                continue
            columns, rows = np.meshgrid(np.arange(96), np.arange(128))
            near = np.hypot(columns - expected[0], rows - expected[1]) < 9
            light = pixels[step, ..., 0] * near.astype(float)
            assert light.max() > 100
            found = [(light * columns).sum() / light.sum(), (light * rows).sum() / light.sum()]
            np.testing.assert_allclose(found, expected, atol=0.2)
            seen += 1
    assert seen > 120


def test_crops_and_table_have_the_same_rows_and_zarr_reads_the_crops(workspace: Workspace) -> None:
    zarr = pytest.importorskip("zarr")
    line = crop(workspace, "--input", "vit", "--split", "val_gt")
    assert line.startswith("crop: wrote data/crops/vit/val_gt: 1 units computed")
    table, store = clips("vit/val_gt")
    assert list(table["frame"]) == [0, 0, 2, 2, 4, 4]
    assert list(table["frames"].iloc[0]) == [0, 0, 0, 1, 2]
    assert list(table["frames"].iloc[5]) == [2, 3, 4, 4, 4]
    group = zarr.open_group("data/crops/vit/val_gt", mode="r")
    assert dict(group.attrs) == {"posereel_format": 1, "kind": "crops"}
    array = group["v3/v0"]
    assert array.shape == (6, 5, 64, 48, 3)
    np.testing.assert_array_equal(array[:], store.read("v3/v0", range(6)))


def test_mirrored_val_clips_are_flipped_horizontally(workspace: Workspace) -> None:
    workspace.set_params(crop__mirror=True)
    crop(workspace, *HRNET, "val")
    table, store = clips("hrnet/val")
    assert list(table["flipped"]) == [False] * 6 + [True] * 6
    plain, mirrored = (store.read(f"v3/v{variant}", range(6)) for variant in (0, 1))
    np.testing.assert_array_equal(mirrored, plain[:, :, :, ::-1])


def test_more_variants_add_units_in_the_train_split_only(workspace: Workspace) -> None:
    workspace.set_params(crop__variants=2)
    assert "4 units computed, 0 reused" in crop(workspace, *HRNET, "train")
    before = workspace.files("data/crops/hrnet/train")
    workspace.set_params(crop__variants=4)
    assert "4 units computed, 4 reused" in crop(workspace, *HRNET, "train")
    after = workspace.files("data/crops/hrnet/train")
    for name, content in before.items():
        if "/v" in name:
            assert after[name] == content
    assert "1 units computed" in crop(workspace, *HRNET, "val")


def test_a_second_run_computes_nothing_and_writes_the_same_bytes(workspace: Workspace) -> None:
    crop(workspace, *HRNET, "train")
    before = [workspace.files(f"data/{name}") for name in ("crops", "clips", "units/crop")]
    assert all(before)
    assert "0 units computed, 2 reused" in crop(workspace, *HRNET, "train")
    after = [workspace.files(f"data/{name}") for name in ("crops", "clips", "units/crop")]
    assert after == before


def test_only_the_video_with_an_edited_box_is_cropped_again(workspace: Workspace) -> None:
    crop(workspace, *HRNET, "train")
    content = document("train", 2)
    content["annotations"][0]["bbox"][2] += 3
    write_json(workspace.root / "annotations/train/v2.json", content)
    prepare(workspace, "train")
    assert "1 units computed, 1 reused" in crop(workspace, *HRNET, "train")


def test_an_edited_keypoint_changes_the_table_but_no_crop(workspace: Workspace) -> None:
    crop(workspace, *HRNET, "train")
    content = document("train", 2)
    content["annotations"][0]["keypoints"][0] += 1
    write_json(workspace.root / "annotations/train/v2.json", content)
    prepare(workspace, "train")
    assert "0 units computed, 2 reused" in crop(workspace, *HRNET, "train")
    row = read_clips(Path("data/clips/hrnet/train.parquet")).query("video == 'v2'").iloc[0]
    np.testing.assert_allclose(row["keypoints"][:2], [47.5 + 4.8, 63.5])


def test_a_new_video_is_added_and_a_removed_video_disappears(workspace: Workspace) -> None:
    crop(workspace, *HRNET, "train")
    write_video(workspace.root, "train", 7)
    write_frames_manifest(workspace.root)
    prepare(workspace, "train")
    assert "1 units computed, 2 reused" in crop(workspace, *HRNET, "train")
    (workspace.root / "annotations/train/v1.json").unlink()
    prepare(workspace, "train")
    assert "0 units computed, 2 reused" in crop(workspace, *HRNET, "train")
    assert not any("v1" in name for name in workspace.files("data/crops/hrnet/train"))
    assert list(json.loads(Path("data/units/crop/hrnet-train.json").read_text())) == [
        "v2/v0",
        "v7/v0",
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"crop__hrnet__height": 64, "crop__hrnet__width": 48},
        {"crop__hrnet__delta": 2},
        {"crop__gap": 2},
        {"crop__enlarge": 1.5},
        {"crop__jitter__shift": 0.1},
        {"crop__jitter__scale": 0.1},
    ],
)
def test_a_param_that_changes_pixels_recomputes_all_units(
    changes: dict[str, object], workspace: Workspace
) -> None:
    crop(workspace, *HRNET, "train")
    workspace.set_params(**changes)
    assert "2 units computed, 0 reused" in crop(workspace, *HRNET, "train")


def test_augmentation_params_recompute_only_augmented_variants(workspace: Workspace) -> None:
    workspace.set_params(crop__variants=2)
    crop(workspace, *HRNET, "train")
    workspace.set_params(crop__variants=2, crop__augment__seed=6)
    assert "2 units computed, 2 reused" in crop(workspace, *HRNET, "train")


def test_jitter_recomputes_no_crop_of_val(workspace: Workspace) -> None:
    crop(workspace, *HRNET, "val_gt")
    workspace.set_params(crop__jitter__shift=0.1)
    assert "0 units computed, 1 reused" in crop(workspace, *HRNET, "val_gt")


def test_a_changed_frame_recomputes_only_the_units_that_show_it(workspace: Workspace) -> None:
    crop(workspace, *HRNET, "train")
    frames = workspace.root / "images/train/v1"
    (frames / "000001.png").write_bytes((frames / "000003.png").read_bytes())
    write_frames_manifest(workspace.root)
    prepare(workspace, "train")
    assert "1 units computed, 1 reused" in crop(workspace, *HRNET, "train")


def test_boxes_on_unlabeled_frames_give_clips_if_all_frames_are_key_frames(
    workspace: Workspace,
) -> None:
    records = [
        {"image_id": 3000 + frame, "category_id": 1, "bbox": [9, 9, 20, 30], "score": 0.5}
        for frame in range(5)
    ]
    write_json(workspace.root / "detections.json", records)
    workspace.set_params(detect__kind="file")
    prepare(workspace, "val")
    crop(workspace, *HRNET, "val")
    assert list(read_clips(Path("data/clips/hrnet/val.parquet"))["frame"]) == [0, 2, 4]
    workspace.set_params(detect__kind="file", crop__key_frames="all")
    crop(workspace, *HRNET, "val")
    table = read_clips(Path("data/clips/hrnet/val.parquet"))
    assert list(table["frame"]) == [0, 1, 2, 3, 4]
    assert set(table["person"]) == {-1}


def test_an_empty_split_gives_an_empty_store(workspace: Workspace) -> None:
    (workspace.root / "annotations/val/v3.json").unlink()
    prepare(workspace, "val")
    crop(workspace, *HRNET, "val")
    table, store = clips("hrnet/val")
    assert len(table) == 0
    assert len(store.digests) == 0


def test_the_clips_of_a_video_with_one_frame_repeat_that_frame(workspace: Workspace) -> None:
    write_video(workspace.root, "val", 8, frames=1, labeled=(0,))
    write_frames_manifest(workspace.root)
    prepare(workspace, "val")
    crop(workspace, *HRNET, "val")
    table = read_clips(Path("data/clips/hrnet/val.parquet"))
    assert [list(row) for row in table[table["video"] == "v8"]["frames"]] == [[0, 0, 0]] * 2


def test_a_video_without_people_has_no_clips(
    workspace: Workspace,
) -> None:
    write_video(workspace.root, "val", 8, people=0)
    write_frames_manifest(workspace.root)
    prepare(workspace, "val")
    crop(workspace, *HRNET, "val")
    table, store = clips("hrnet/val")
    assert set(table["video"]) == {"v3"}
    assert list(store.digests) == ["v3/v0"]


def test_two_hundred_people_in_a_frame_give_two_hundred_clips(workspace: Workspace) -> None:
    content = document("val", 3, labeled=(0,))
    person = content["annotations"][0]
    content["annotations"] = [person | {"id": n, "track_id": n} for n in range(200)]
    write_json(workspace.root / "annotations/val/v3.json", content)
    prepare(workspace, "val")
    crop(workspace, "--input", "vit", "--split", "val")
    assert len(clips("vit/val")[0]) == 200


@pytest.mark.parametrize("name", ["a b", "$(touch x)", "semi;colon", "it's", "čeština"])
def test_video_names_with_special_characters_are_kept(name: str, workspace: Workspace) -> None:
    (workspace.root / "annotations/val/v3.json").rename(
        workspace.root / f"annotations/val/{name}.json"
    )
    prepare(workspace, "val")
    crop(workspace, *HRNET, "val")
    assert list(Store(Path("data/crops/hrnet/val"), "crops").digests) == [f"{name}/v0"]


def _damage(file: Path, how: str) -> None:
    data = file.read_bytes()
    if how == "missing":
        file.unlink()
    elif how == "linked":
        other = file.parents[4] / "elsewhere.png"
        other.write_bytes(data)
        file.unlink()
        file.symlink_to(other)
    else:
        file.write_bytes({"empty": b"", "half": data[: len(data) // 2], "other": data + b"x"}[how])


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("missing", "expected an image file, found nothing"),
        ("empty", "got an empty file"),
        ("other", "its content differs from the manifest"),
        ("linked", "expected a path inside"),
    ],
)
def test_a_bad_frame_is_named_and_nothing_is_published(
    how: str, message: str, workspace: Workspace
) -> None:
    _damage(workspace.root / "images/train/v1/000001.png", how)
    result = workspace.run(app, *HRNET, "train")
    assert result.exit_code == 1
    assert "images/train/v1/000001.png" in result.stderr
    assert message in result.stderr
    assert "1 of 2 units failed" in result.stderr.splitlines()[-1]
    assert not Path("data/crops").exists() or not workspace.files("data/crops")
    assert not Path("data/clips").exists()
    # The unit of the other video is kept.
    (workspace.root / "images/train/v1/000001.png").unlink(missing_ok=True)
    write_video(workspace.root, "train", 1)
    assert "1 units computed, 1 reused" in crop(workspace, *HRNET, "train")


def test_a_frame_that_was_truncated_before_the_manifest_was_written_is_rejected(
    workspace: Workspace,
) -> None:
    _damage(workspace.root / "images/train/v1/000001.png", "half")
    write_frames_manifest(workspace.root)
    prepare(workspace, "train")
    result = workspace.run(app, *HRNET, "train")
    assert result.exit_code == 1
    assert "expected a complete image, got a damaged one" in result.stderr


def test_a_frame_whose_size_differs_from_its_video_is_rejected(workspace: Workspace) -> None:
    file = workspace.root / "images/train/v1/000001.png"
    cv2.imwrite(str(file), np.zeros((30, 40, 3), np.uint8))
    write_frames_manifest(workspace.root)
    prepare(workspace, "train")
    result = workspace.run(app, *HRNET, "train")
    assert result.exit_code == 1
    assert "expected 60 x 90 pixels (height x width) like the rest of its video" in result.stderr


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"crop__hrnet__height": 130}, "crop.hrnet.height"),
        ({"crop__variants": 0}, "crop.variants"),
        ({"crop__augment__scale": 1.0}, "crop.augment.scale"),
        ({"crop__mirror": "no"}, "crop.mirror"),
        ({"crop__delta": 1}, "crop.delta: unknown key"),
        ({"crop__gap": 0}, "crop.gap"),
        ({"crop__enlarge": 1e300}, "crop.enlarge"),
    ],
)
def test_the_error_names_the_invalid_param(
    changes: dict[str, object], message: str, workspace: Workspace
) -> None:
    workspace.set_params(**changes)
    result = workspace.run(app, *HRNET, "train")
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert message in result.stderr


def test_boxes_that_do_not_match_the_index_are_rejected(workspace: Workspace) -> None:
    content = document("train", 2, people=1)
    write_json(workspace.root / "annotations/train/v2.json", content)
    workspace.run(index.app)
    result = workspace.run(app, *HRNET, "train")
    assert result.exit_code == 1
    assert "expected person 1 in the annotations, found none" in result.stderr


def test_two_worker_processes_give_the_same_bytes(workspace: Workspace) -> None:
    workspace.set_params(crop__variants=2)
    crop(workspace, *HRNET, "train")
    expected = workspace.files("data/crops/hrnet/train")
    (workspace.folder / ".dvc/cache").rename(workspace.folder / "elsewhere")
    workspace.set_params(crop__variants=2, extract__workers=2)
    assert "4 units computed, 0 reused" in crop(workspace, *HRNET, "train")
    assert workspace.files("data/crops/hrnet/train") == expected
