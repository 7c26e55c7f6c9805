"""The reader of stores: values equal those of zarr-python, and every damage is an error."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

import pipeline.core.store.shards
from pipeline.core.caches.reader import Caches
from pipeline.core.store.reader import Store, group_attributes
from pipeline.core.store.shards import encode_json, group_metadata, write_array

UNITS = {"bonn/v0": 11, "bonn/v1": 11, "street/v0": 3, "empty/v0": 0}
ROW = (2, 3)


@pytest.fixture(autouse=True)
def four_rows_per_shard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline.core.store.shards, "SHARD_ROWS", 4)


def values_of(name: str) -> np.ndarray:
    seed = sorted(UNITS).index(name)
    return np.random.default_rng(seed).normal(size=(UNITS[name], *ROW)).astype(np.float16)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "flow" / "train"
    for name, rows in UNITS.items():
        blocks = [values_of(name)]
        write_array(root / name, blocks, rows=rows, row_shape=ROW, dtype="float16")
        (root / name).with_name("zarr.json").write_bytes(encode_json(group_metadata({})))
    (root / "zarr.json").write_bytes(encode_json(group_metadata(group_attributes("flow"))))
    (root / "digests.json").write_text(json.dumps(dict.fromkeys(sorted(UNITS), "0" * 64)))
    return root


def test_zarr_python_reads_the_same_values(root: Path) -> None:
    group = zarr.open_group(str(root), mode="r")
    assert dict(group.attrs) == {"posereel_format": 1, "kind": "flow"}
    store = Store(root, "flow")
    for name, rows in UNITS.items():
        theirs = group[name][...]
        assert np.array_equal(theirs, values_of(name))
        assert np.array_equal(store.read(name, range(rows)), theirs)
        assert (store.rows(name), store.row_shape(name)) == (rows, ROW)
        assert store.dtype(name) == np.float16


def test_a_store_without_units_is_a_valid_empty_store(tmp_path: Path) -> None:
    (tmp_path / "zarr.json").write_bytes(encode_json(group_metadata(group_attributes("tokens"))))
    (tmp_path / "digests.json").write_text("{}")
    assert dict(Store(tmp_path, "tokens").digests) == {}


@settings(deadline=None, max_examples=30)
@given(indices=st.lists(st.integers(0, 10), max_size=20))
def test_any_rows_in_any_order_equal_those_of_numpy(
    tmp_path_factory: pytest.TempPathFactory, indices: list[int]
) -> None:
    values = values_of("bonn/v0")
    folder = tmp_path_factory.mktemp("any")
    (folder / "zarr.json").write_bytes(encode_json(group_metadata(group_attributes("flow"))))
    (folder / "digests.json").write_text('{"bonn/v0": "0"}')
    write_array(folder / "bonn/v0", [values], rows=11, row_shape=ROW, dtype="float16")
    store = Store(folder, "flow")
    out = np.full((len(indices), *ROW), np.nan, np.float16)
    store.advise("bonn/v0", indices)
    assert store.read("bonn/v0", np.array(indices, int), out) is out
    assert np.array_equal(out, values[np.array(indices, int)])


def test_a_batch_of_several_units_is_read_in_order(root: Path) -> None:
    store = Store(root, "flow")
    places = [("street/v0", 2), ("bonn/v1", 10), ("bonn/v0", 0), ("bonn/v1", 10), ("bonn/v0", 7)]
    names, rows = [name for name, _ in places], np.array([row for _, row in places])
    out = np.full((5, *ROW), np.nan, np.float16)
    store.gather(names, rows, out)
    assert np.array_equal(out, [values_of(name)[row] for name, row in places])
    with pytest.raises(ValueError, match=r"'street/v0': expected rows within 0..2, got 3..3"):
        store.gather(names, rows + 1, out)
    with pytest.raises(ValueError, match=r"'bonn/v1': expected a contiguous buffer \(1, 2, 3\)"):
        store.gather(["bonn/v1"], [0], np.empty((1, 3, 2), np.float16))
    # A strided buffer would be copied, a longer one filled in part.
    for buffer in (out[::2], out):
        with pytest.raises(ValueError, match="expected a contiguous buffer of 3 rows"):
            store.gather(names[:3], rows[:3], buffer)


def test_the_number_of_open_files_is_limited(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.core.store.mapped_shards._MAX_OPEN_SHARDS", 2)
    store = Store(root, "flow")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(2):
        assert np.array_equal(store.read("bonn/v0", range(11)), values_of("bonn/v0"))
    # Python's mmap duplicates the descriptor.
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 2 * 2
    store.close()
    assert np.array_equal(store.read("street/v0", [2]), values_of("street/v0")[2:])


def rewrite(path: Path, change: Callable[[bytearray], object]) -> None:
    content = bytearray(path.read_bytes())
    change(content)
    path.write_bytes(content)


def change_json(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def flip(place: int) -> Callable[[bytearray], object]:
    def change(content: bytearray) -> None:
        content[place] ^= 1

    return change


def to_version_2(root: Path) -> None:
    (root / "bonn/v1/zarr.json").unlink()
    (root / "bonn/v1/.zarray").write_text('{"zarr_format": 2, "filters": [{"id": "pickle"}]}')


def to_symlink(root: Path) -> None:
    shard = root / "bonn/v1/c.1.0.0"
    shard.rename(root.parent / "elsewhere")
    shard.symlink_to(root.parent / "elsewhere")


SHARD = "bonn/v1/c.1.0.0"
DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing shard": (lambda root: (root / SHARD).unlink(), "shard c.1.0.0 is missing"),
    "missing last shard": (lambda r: (r / "bonn/v1/c.2.0.0").unlink(), "c.2.0.0 is missing"),
    "empty shard": (
        lambda r: rewrite(r / SHARD, bytearray.clear),
        "c.1.0.0: expected 132 bytes, got 0",
    ),
    "truncated shard": (
        lambda r: rewrite(r / SHARD, bytearray.pop),
        "expected 132 bytes, got 131",
    ),
    "longer shard": (lambda r: rewrite(r / SHARD, lambda c: c.append(0)), "got 133"),
    "bit flip in the index": (lambda r: rewrite(r / SHARD, flip(-9)), "index of shard c.1.0.0"),
    "bit flip in the index's crc": (lambda r: rewrite(r / SHARD, flip(-1)), "index of shard"),
    "shard of other rows": (
        lambda r: shutil.copy(r / "bonn/v1/c.2.0.0", r / SHARD),
        "c.1.0.0: expected 132 bytes, got 116",
    ),
    "leftover of a killed writer": (
        lambda r: (r / (SHARD + ".partial")).touch(),
        "unexpected file c.1.0.0.partial",
    ),
    "unexpected file": (lambda r: (r / "bonn/v1/notes.txt").touch(), "unexpected file notes.txt"),
    "additional shard": (
        lambda r: shutil.copy(r / SHARD, r / "bonn/v1/c.3.0.0"),
        "unexpected file c.3.0.0",
    ),
    "leftover beside the units": (
        lambda r: (r / "bonn/v1/zarr.json.partial").touch(),
        "unexpected file zarr.json.partial",
    ),
    "Zarr v2 metadata beside ours": (
        lambda r: (r / "bonn/v1/.zarray").write_text('{"filters": [{"id": "pickle"}]}'),
        "unexpected file .zarray",
    ),
    "Zarr v2 array": (to_version_2, "found no file"),
    "symbolic link": (to_symlink, "c.1.0.0 cannot be opened"),
    "absurd shape": (
        lambda r: change_json(r / "bonn/v1/zarr.json", shape=[10**12, *ROW]),
        "c.3.0.0 is missing",
    ),
    "negative shape": (
        lambda r: change_json(r / "bonn/v1/zarr.json", shape=[-1, *ROW]),
        "does not describe an array",
    ),
    "other codecs": (lambda r: change_json(r / "bonn/v1/zarr.json", codecs=[]), "in .'codecs'."),
    "missing unit": (lambda r: shutil.rmtree(r / "bonn/v1"), "is missing"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_the_error_for_a_damaged_store_names_unit_and_stage(root: Path, damage: str) -> None:
    damage_store, message = DAMAGE[damage]
    damage_store(root)
    with pytest.raises(ValueError, match=rf"'bonn/v1'.*{message}.*dvc repro -f flow"):
        Store(root, "flow")


@pytest.mark.parametrize("fill", [0.0, np.nan])
def test_a_missing_shard_of_fill_values_is_an_error(root: Path, fill: float) -> None:
    values = np.full((11, *ROW), fill, np.float16)
    shutil.rmtree(root / "bonn/v1")
    write_array(root / "bonn/v1", [values], rows=11, row_shape=ROW, dtype="float16")
    store = Store(root, "flow")
    assert np.array_equal(store.read("bonn/v1", range(11)), values, equal_nan=True)
    store.verify("bonn/v1")
    # zarr-python returns the same values without the shard; here a missing shard is an error.
    (root / SHARD).unlink()
    with pytest.raises(ValueError, match=r"'bonn/v1'.*shard c.1.0.0 is missing"):
        Store(root, "flow")


def test_reading_a_row_with_a_bit_flip_is_an_error(root: Path) -> None:
    rewrite(root / SHARD, flip(3))
    store = Store(root, "flow")
    assert np.array_equal(store.read("bonn/v1", [3, 5]), values_of("bonn/v1")[[3, 5]])
    with pytest.raises(ValueError, match=r"'bonn/v1': row 4: the crc32c in c.1.0.0 does not match"):
        store.read("bonn/v1", [5, 4])
    with pytest.raises(ValueError, match="'bonn/v1': row 4"):
        store.verify("bonn/v1")
    assert not np.array_equal(store.read("bonn/v1", [4], check=False), values_of("bonn/v1")[[4]])
    store.verify("bonn/v0")


def test_reading_a_shard_truncated_after_opening_is_an_error(root: Path) -> None:
    store = Store(root, "flow")
    (root / SHARD).write_bytes(b"")
    with pytest.raises(ValueError, match=r"'bonn/v1': row 7: c.1.0.0 is truncated"):
        store.read("bonn/v1", [7])


INVALID: dict[str, tuple[Callable[[Path], object], str]] = {
    "wrong kind": (
        lambda r: change_json(
            r / "zarr.json", attributes={"posereel_format": 1, "kind": "heatmaps"}
        ),
        "kind 'flow', got 'heatmaps'",
    ),
    "format 2": (
        lambda r: change_json(r / "zarr.json", attributes={"posereel_format": 2, "kind": "flow"}),
        "posereel_format 1, got 2",
    ),
    "other Zarr group": (lambda r: change_json(r / "zarr.json", attributes={}), "got None"),
    "no group": (lambda r: (r / "zarr.json").unlink(), "zarr.json: expected the group of a store"),
    "missing list": (lambda r: (r / "digests.json").unlink(), "list of units, found no file"),
    "truncated list": (
        lambda r: (r / "digests.json").write_text('{"a'),
        "list of units cannot be read",
    ),
    "list of another type": (
        lambda r: (r / "digests.json").write_text("[]"),
        "is not a JSON object",
    ),
    "path outside the store": (
        lambda r: (r / "digests.json").write_text('{"../v0": ""}'),
        "'../v0': expected a name",
    ),
    "unexpected folder": (lambda r: (r / "other").mkdir(), "'other' is not in the list"),
    "leftover of a killed writer in a video": (
        lambda r: (r / "bonn/zarr.json.partial").touch(),
        "'bonn/zarr.json.partial': is not in the list",
    ),
    "unexpected variant": (lambda r: (r / "bonn/v7").mkdir(), "'bonn/v7': is not in the list"),
}


@pytest.mark.parametrize("case", INVALID)
def test_a_folder_that_is_not_such_a_store_is_rejected(root: Path, case: str) -> None:
    change_store, message = INVALID[case]
    change_store(root)
    with pytest.raises(ValueError, match=rf"{message}.*dvc repro -f flow"):
        Store(root, "flow")


def test_the_remedy_for_crops_names_the_stage_crop(root: Path) -> None:
    with pytest.raises(ValueError, match=r"write it again: dvc repro -f crop$"):
        Store(root, "crops")


def test_wrong_units_rows_and_buffers_are_rejected(root: Path) -> None:
    store = Store(root, "flow")
    assert "bonn/v0" in store
    assert "bonn/v9" not in store
    with pytest.raises(ValueError, match="'bonn/v9': the store has no such unit"):
        store.read("bonn/v9", [0])
    for indices in ([11], [0, -1]):
        with pytest.raises(ValueError, match=r"'bonn/v0': expected rows within 0..10, got"):
            store.read("bonn/v0", indices)
    for out in (
        np.empty((1, *ROW), np.float16),
        np.empty((2, *ROW), np.float32),
        np.empty((2, 3, 2), np.float16).swapaxes(1, 2),
    ):
        with pytest.raises(ValueError, match=r"contiguous buffer \(2, 2, 3\) of float16"):
            store.read("bonn/v0", [0, 1], out)


def test_a_disabled_store_of_features_names_the_param_that_enables_it(tmp_path: Path) -> None:
    root = tmp_path / "features/train"
    root.mkdir(parents=True)
    (root / "zarr.json").write_text(json.dumps(group_metadata(group_attributes("features"))))
    (root / "digests.json").write_text("{}")
    caches = Caches({"features": root}, 1)
    with pytest.raises(ValueError, match=r"set features.enabled to true in params.yaml, then: dvc"):
        caches.check_clips({"bonn/v0": 3})
    with pytest.raises(ValueError, match=r"got no unit; set features.enabled to true in params"):
        caches.row_shape("features")
