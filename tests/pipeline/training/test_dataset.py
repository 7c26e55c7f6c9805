"""Batches from the caches, compared with plain indexing of the stored arrays."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.core.caches.clip_table import ClipTable, clips_file, read_clips, table_of
from pipeline.core.caches.reader import Caches
from pipeline.core.heatmap import encode
from pipeline.training.dataset import ClipFeed, MappedSource, ResidentSource, TargetSpec
from pipeline.training.processes import DistributedContext
from pipeline.training.target_params import Sigma, Target
from tests.pipeline.tiny_caches import (
    CLIPS_OF,
    CROP,
    clip_frame,
    random_store,
    values_of,
    write_clips,
)

CPU = torch.device("cpu")
ALONE = DistributedContext(CPU, rank=0, world_size=1)
TARGET = Target(occluded="ignore", sigma=Sigma(hrnet=1.5, vit=1.0))
TARGET_SPEC = TargetSpec(TARGET, (CROP[0] // 4, CROP[1] // 4), 1.5)
KINDS = ("heatmaps", "flow", "tokens")
CUTS = {"heatmaps": slice(1, 4), "flow": slice(1, 3), "tokens": slice(1, 4)}
"""The middle 3 of 5 frames, and the 2 flow fields between them."""
N = sum(CLIPS_OF.values())


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("data")
    for kind in KINDS:
        random_store(data / kind, kind, variants=2)
    write_clips(data, "hrnet", "train", clip_frame(variants=2))
    return data


@pytest.fixture(scope="module")
def table(data: Path) -> ClipTable:
    return table_of(read_clips(clips_file(data, "hrnet", "train")), data)


def feed_of(
    data: Path, table: ClipTable, *, frames: int = 3, resident: bool = False, batch: int = 4
) -> ClipFeed:
    caches = Caches({kind: data / kind for kind in KINDS}, frames)
    source = (ResidentSource if resident else MappedSource)(table, caches, CPU)
    return ClipFeed(table, source, TARGET_SPEC, batch=batch, seed=7, where=data)


def copies(
    feed: ClipFeed, start: int, stop: int, context: DistributedContext = ALONE
) -> list[dict[str, torch.Tensor]]:
    return [
        {name: tensor.clone() for name, tensor in batch.items()}
        for batch in feed.batches(start, stop, context)
    ]


def same(one: list[dict[str, torch.Tensor]], other: list[dict[str, torch.Tensor]]) -> bool:
    return len(one) == len(other) and all(
        a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
        for a, b in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("resident", [False, True])
def test_a_batch_contains_the_clips_of_the_epochs_order_with_the_frames_of_the_head(
    data: Path, table: ClipTable, resident: bool
) -> None:
    feed = feed_of(data, table, resident=resident)
    frame = clip_frame(variants=2)
    steps = feed.steps_per_epoch
    assert steps == N // 4
    for step, batch in enumerate(copies(feed, 0, 3 * steps)):
        epoch = step // steps
        variant = epoch % 2
        clips = feed.order(epoch)[step % steps * 4 :][:4]
        for place, clip in enumerate(clips):
            video, row = table.videos[clip], table.rows[clip]
            for kind, cut in CUTS.items():
                stored = values_of(kind, f"{video}/v{variant}", CLIPS_OF[video])[row, cut]
                assert np.array_equal(batch[kind][place].numpy(), stored.astype(np.float32))
            listed = frame.set_index(["video", "variant", "clip"]).loc[(video, variant, row)]
            visible = np.array(listed.visible)
            expected = encode(np.array(listed.keypoints).reshape(15, 2), visible, (16, 8), 1.5)
            np.testing.assert_allclose(batch["target"][place].numpy(), expected, rtol=3e-7)
            assert batch["weights"][place].tolist() == (visible == 2).astype(float).tolist()
        assert all(tensor.dtype == torch.float32 for tensor in batch.values())


def test_every_epoch_has_a_different_order_and_no_clip_twice(data: Path, table: ClipTable) -> None:
    feed = feed_of(data, table)
    orders = [feed.order(epoch) for epoch in range(40)]
    assert all(len(set(order)) == len(order) == 8 for order in orders)
    assert len({tuple(order) for order in orders}) == 40
    # Each epoch skips 3 of 11 clips, different ones each time.
    seen = Counter(int(clip) for order in orders for clip in order)
    assert len(seen) == N
    assert min(seen.values()) > 15


def test_a_start_in_the_middle_yields_the_batches_of_an_uninterrupted_run(
    data: Path, table: ClipTable
) -> None:
    complete = copies(feed_of(data, table), 0, 9)
    for start in (0, 1, 2, 5, 8):
        assert same(copies(feed_of(data, table), start, 9), complete[start:])


def test_processes_divide_a_batch_and_together_have_all_of_it(data: Path, table: ClipTable) -> None:
    complete = copies(feed_of(data, table), 0, 3)
    parts = [
        copies(feed_of(data, table), 0, 3, DistributedContext(CPU, rank, 2)) for rank in range(2)
    ]
    for step, batch in enumerate(complete):
        for name, tensor in batch.items():
            assert torch.equal(tensor[0::2], parts[0][step][name])
            assert torch.equal(tensor[1::2], parts[1][step][name])
    with pytest.raises(ValueError, match="multiple of the 3 processes, got 4"):
        next(iter(feed_of(data, table).batches(0, 1, DistributedContext(CPU, 0, 3))))


def test_fewer_clips_than_a_batch_are_repeated_with_a_warning(
    data: Path, table: ClipTable, capsys: pytest.CaptureFixture[str]
) -> None:
    few = table.of_videos(lambda video: video == "creek")
    feed = feed_of(data, few, batch=5)
    assert feed.steps_per_epoch == 1
    assert sorted(Counter(feed.order(3).tolist()).values()) == [2, 3]
    assert len(copies(feed, 0, 2)[1]["heatmaps"]) == 5
    warning = f"{data}: 2 clips are repeated to fill batches of 5; lower the batch size"
    assert capsys.readouterr().err.startswith(warning)
    copies(feed_of(data, few, batch=2), 0, 2)
    assert capsys.readouterr().err == ""


def test_in_order_yields_every_clip_once_unaugmented(data: Path, table: ClipTable) -> None:
    tokens = torch.cat([batch["tokens"].clone() for batch in feed_of(data, table).in_table_order()])
    units = [values_of("tokens", f"{video}/v0", n)[:, 1:4] for video, n in CLIPS_OF.items()]
    assert np.array_equal(tokens.numpy(), np.concatenate(units).astype(np.float32))


def test_a_table_without_clips_is_an_error_with_the_file(data: Path, table: ClipTable) -> None:
    with pytest.raises(ValueError, match=f"{data}: expected clips to train on, found none"):
        feed_of(data, table.of_videos(lambda _: False))


def test_variants_with_other_clips_are_refused(data: Path) -> None:
    frame = clip_frame(variants=2)
    broken = frame.drop(index=frame.index[frame.variant == 1][0])
    with pytest.raises(ValueError, match=r"expected the same clips in the variants 0\.\.1"):
        table_of(broken, data)


def test_more_frames_than_the_stores_hold_are_refused(data: Path) -> None:
    with pytest.raises(ValueError, match=r"at least 7 entries per clip .* got 5; lower .* delta"):
        Caches({"heatmaps": data / "heatmaps"}, 7)


def test_a_store_of_other_clips_than_the_table_is_refused(
    data: Path, table: ClipTable, tmp_path: Path
) -> None:
    random_store(tmp_path / "flow", "flow", 2, {"alley": 5, "bonn": 3, "creek": 2})
    caches = Caches({"heatmaps": data / "heatmaps", "flow": tmp_path / "flow"}, 3)
    with pytest.raises(ValueError, match=r"flow: unit 'bonn/v0': expected 4 rows.*got 3"):
        MappedSource(table, caches, CPU)
    random_store(tmp_path / "less", "flow", 1)
    caches = Caches({"flow": tmp_path / "less"}, 3)
    with pytest.raises(ValueError, match="unit 'alley/v1': the store has no such unit"):
        ResidentSource(table, caches, CPU)


def test_checksums_are_compared_when_a_variant_is_read_for_the_first_time(
    data: Path, table: ClipTable, tmp_path: Path
) -> None:
    root = random_store(tmp_path / "tokens", "tokens", 2)
    shard = next((root / "creek" / "v1").glob("c.*"))
    damaged = bytearray(shard.read_bytes())
    damaged[10] ^= 1
    shard.write_bytes(damaged)
    caches = Caches({"tokens": root}, 3)
    creek = table.of_videos(lambda video: video == "creek")
    feed = ClipFeed(
        creek, MappedSource(creek, caches, CPU), TARGET_SPEC, batch=2, seed=0, where=data
    )
    assert len(copies(feed, 0, 1)) == 1  # epoch 0 reads variant 0
    with pytest.raises(ValueError, match=r"'creek/v1': row 0: the crc32c in .* does not match"):
        copies(feed, 1, 2)
    assert len(copies(feed, 3, 4)) == 1  # epoch 3 reads variant 1 again, unchecked
