"""Clips as a torch dataset: items, workers, batches of the training, predictions and errors."""

import pickle
import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import zarr
from torch import Tensor
from torch.utils.data import DataLoader

import pipeline.training.task
from pipeline.core.heatmap import encode
from posereel import ClipCaches, score
from stages import predict, train
from tests.pipeline.tiny_caches import CLIPS_OF, CROP, STORED, clip_frame, random_store, write_clips
from tests.posereel.caches_project import KINDS, make_caches_project
from tests.stages.tiny_project import Project

ROOT = Path(__file__).resolve().parents[2]
N = sum(CLIPS_OF.values())


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return make_caches_project(tmp_path_factory.mktemp("project") / "repo")


def equal(one: Any, other: Any) -> bool:  # noqa: ANN401  nested dicts
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[name], other[name]) for name in one)
    if isinstance(one, Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    return type(one) is type(other) and one == other


@pytest.mark.parametrize("variant", [0, 1])
def test_an_item_has_the_rows_that_zarr_reads_and_the_row_of_the_clip_table(
    project: Project, variant: int
) -> None:
    clips = ClipCaches(project.data, split="train", reads=KINDS, variant=variant)
    table = clip_frame(variants=2)
    table = table[table["variant"] == variant]
    assert len(clips) == len(table) == N
    for index, row in enumerate(table.to_dict("records")):
        item = clips[index]
        for kind in KINDS:
            store = zarr.open_group(project.data / kind / "train", mode="r")
            stored = store[f"{row['video']}/v{variant}"][row["clip"]]
            assert item[kind].dtype == torch.float32
            assert np.array_equal(item[kind].numpy(), stored.astype(np.float32))
        visible = np.array(row["visible"])
        joints = np.reshape(row["keypoints"], (15, 2))
        target = encode(joints, visible, (CROP[0] // 4, CROP[1] // 4), 1.5)
        np.testing.assert_allclose(item["target"].numpy(), target, rtol=3e-7)
        assert item["weights"].tolist() == (visible > 0).astype(float).tolist()
        assert item["visible"].tolist() == visible.tolist()
        assert np.array_equal(item["joints"].numpy(), joints.astype(np.float32))
        known = item["clip"]
        assert known["frames"].tolist() == row["frames"]
        assert known["to_crop"].flatten().tolist() == row["to_crop"]
        plain = set(row) - {"frames", "to_crop", "keypoints", "visible"}
        assert {name: known[name] for name in plain} == {name: row[name] for name in plain}
        assert set(known) == plain | {"frames", "to_crop"}


def test_surplus_frames_are_cut_on_both_sides(project: Project) -> None:
    every = ClipCaches(project.data, reads=KINDS)
    assert every.frames == STORED == 5
    middle = ClipCaches(project.data, reads=KINDS, frames=3)
    key_frame = ClipCaches(project.data, reads="heatmaps", frames=1)
    for index in range(N):
        whole, cut = every[index], middle[index]
        assert torch.equal(cut["heatmaps"], whole["heatmaps"][1:4])
        assert torch.equal(cut["flow"], whole["flow"][1:3])
        assert torch.equal(cut["clip"]["frames"], whole["clip"]["frames"][1:4])
        assert torch.equal(key_frame[index]["heatmaps"], whole["heatmaps"][2:3])


def test_workers_of_a_plain_data_loader_give_what_indexing_gives(project: Project) -> None:
    clips = ClipCaches(project.data, reads=KINDS)
    alone = DataLoader(clips, batch_size=4)
    workers = DataLoader(clips, batch_size=4, num_workers=2)
    batches = list(workers)
    assert [len(batch["flow"]) for batch in batches] == [4, 4, 3]
    assert all(equal(one, other) for one, other in zip(alone, batches, strict=True))
    items = [clips[index] for index in range(N)]
    for kind in (*KINDS, "target", "weights", "joints", "visible"):
        expected = torch.stack([item[kind] for item in items])
        assert torch.equal(torch.cat([batch[kind] for batch in batches]), expected)
    videos = [video for batch in batches for video in batch["clip"]["video"]]
    assert videos == [video for video, count in CLIPS_OF.items() for _ in range(count)]


def test_a_pickled_dataset_opens_its_files_again(project: Project) -> None:
    clips = ClipCaches(project.data, reads=KINDS)
    expected = clips[3]
    copy = pickle.loads(pickle.dumps(clips))  # noqa: S301  our own bytes
    assert equal(copy[3], expected)
    assert len(pickle.dumps(clips)) < 100_000
    assert equal(clips[-1], clips[N - 1])
    for index in (N, -N - 1):
        with pytest.raises(IndexError):
            clips[index]


@pytest.fixture
def trained(project: Project, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Tensor]]:
    """Train `fuse` and return the batches that its training read."""
    read: list[dict[str, Tensor]] = []
    run = pipeline.training.task.train

    def recorded(network: Any, loss: Any, feed: Any, plan: Any) -> Any:  # noqa: ANN401
        def kept(model: Any, batch: dict[str, Tensor]) -> Any:  # noqa: ANN401
            read.append({name: tensor.clone() for name, tensor in batch.items()})
            return loss(model, batch)

        return run(network, kept, feed, plan)

    monkeypatch.setattr(pipeline.training.task, "train", recorded)
    result = project.run(train.app, "--system", "fuse")
    assert result.exit_code == 0, result.output
    return read


def test_the_loader_gives_the_batches_of_the_pipelines_training(
    project: Project, trained: list[dict[str, Tensor]]
) -> None:
    clips = ClipCaches(project.data, reads="heatmaps", frames=3)
    loader = clips.loader(batch=4, seed=3)
    assert len(loader) == N // 4 == 2
    assert len(trained) == 6
    batches = [
        {name: tensor.clone() for name, tensor in batch.items()}
        for _ in range(3)
        for batch in loader
    ]
    assert all(equal(one, other) for one, other in zip(batches, trained, strict=True))
    assert loader.epoch == 3
    again = clips.loader(batch=4, seed=3)
    again.epoch = 2
    assert equal(next(iter(again)), trained[4])
    other_seed = next(iter(clips.loader(batch=4, seed=4)))
    assert not torch.equal(other_seed["heatmaps"], trained[0]["heatmaps"])


def test_written_predictions_are_those_of_the_stage_and_scored_like_them(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Params name the annotations relative to the checkout, where stages run.
    monkeypatch.chdir(project.folder)
    result = project.run(predict.app, "--system", "hrnet")
    monkeypatch.chdir(tmp_path)
    assert result.exit_code == 0, result.output
    clips = ClipCaches(project.data, split="val_gt", reads="heatmaps", frames=1)
    heatmaps = torch.cat([batch["heatmaps"][:, 0] for batch in DataLoader(clips, batch_size=3)])
    folder = clips.write_predictions(heatmaps, tmp_path / "new" / "poses")
    stage = project.data / "predictions/hrnet/val_gt"
    assert sorted(file.name for file in folder.iterdir()) == [f"{name}.json" for name in CLIPS_OF]
    for file in folder.iterdir():
        assert file.read_bytes() == (stage / file.name).read_bytes()
    metrics = score(clips.annotations, folder)
    assert metrics == score(str(clips.annotations), str(stage))
    assert metrics["ap_total"] > 90
    one = score(clips.annotations / "alley.json", folder / "alley.json", oks=False)
    assert one["n_frames_used"] == 3
    assert one["oks"] is None


def test_the_example_trains_a_head_and_scores_it(
    project: Project,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    script = ROOT / "docs/examples/train_a_head.py"
    monkeypatch.setattr(sys, "argv", [str(script), str(project.data), "2", str(tmp_path)])
    # From another folder than the project.
    monkeypatch.chdir(tmp_path)
    values = runpy.run_path(str(script))
    printed = capsys.readouterr().out
    assert f"{N} clips of 5 frames, 15 joints on 16 x 8 cells" in printed
    assert printed.count("epoch") == 2
    assert f"corrected: PoseTrack AP {values['metrics']['ap_total']:.2f}" in printed
    plain = score(values["val"].annotations, tmp_path / "plain")
    assert f"plain: PoseTrack AP {plain['ap_total']:.2f}" in printed
    assert plain["ap_total"] > 90


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"split": "test"}, r"split: expected train, val, val_gt, got 'test'"),
        ({"reads": ["heatmap"]}, "reads: expected heatmaps, flow, features, tokens, got 'heatmap'"),
        ({"reads": []}, "reads: expected .* got none"),
        ({"reads": ["flow", "tokens"]}, "expected caches of the same crops, got flow, tokens"),
        ({"reads": "tokens"}, r"clips/vit/train\.parquet: .* found none; .* dvc repro tokens"),
        ({"reads": "features"}, r"features/train/digests\.json: .*: dvc repro features"),
        ({"split": "val", "reads": ["flow", "features"]}, "dvc repro flow features"),
        ({"frames": 4}, r"frames: expected an odd number up to 5, .* raise crop\.hrnet\.delta"),
        ({"frames": 7}, "frames: expected an odd number up to 5"),
        ({"variant": 2}, "variant: expected 0 to 1"),
        ({"data": "nowhere"}, "nowhere: expected the folder data of a checkout, found none"),
        ({"params": "nowhere.yaml"}, "nowhere.yaml: expected the params file"),
    ],
)
def test_a_wrong_argument_or_missing_cache_gives_one_line(
    project: Project, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        ClipCaches(**{"data": project.data, **arguments})
    assert "\n" not in str(caught.value)


def test_caches_of_other_clips_than_the_table_are_refused(tmp_path: Path) -> None:
    project = make_caches_project(tmp_path / "repo")
    write_clips(project.data, "hrnet", "train", clip_frame(1, {"alley": 4, "bonn": 4}))
    with pytest.raises(ValueError, match=r"unit 'alley/v0': expected 4 rows.*got 5"):
        ClipCaches(project.data)
    random_store(project.data / "features/train", "features", 0)
    with pytest.raises(ValueError, match=r"features/train: .* set features\.enabled to true"):
        ClipCaches(project.data, reads="features")


def test_predictions_need_a_validation_split_and_a_heatmap_per_clip(
    project: Project, tmp_path: Path
) -> None:
    maps = torch.zeros(N, 15, 16, 8)
    with pytest.raises(ValueError, match=r"expected variant 0 of val or val_gt, got .* of train"):
        ClipCaches(project.data).write_predictions(maps, tmp_path)
    with pytest.raises(ValueError, match=rf"\({N}, K, h, w\), one per clip, got \({N - 1}, 15"):
        ClipCaches(project.data, split="val").write_predictions(maps[1:], tmp_path)


def test_errors_of_the_score_name_the_choices(project: Project, tmp_path: Path) -> None:
    folder = project.data / "raw/annotations/val"
    with pytest.raises(ValueError, match=r"expected one of \('poseval', 'posetrack21'\), got 'x'"):
        score(folder, folder, protocol="x")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expected two files or two folders, got one of each"):
        score(folder, folder / "alley.json")
    with pytest.raises(ValueError, match="expected a folder of ground-truth files, found none"):
        score(tmp_path / "nowhere", folder)
