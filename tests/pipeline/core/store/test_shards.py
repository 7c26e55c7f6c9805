"""The shard writer: byte-identical to zarr-python."""

import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from zarr.codecs import BytesCodec, Crc32cCodec

import pipeline.core.store.shards
from pipeline.core.store.shards import array_metadata, shard_name, shard_rows, write_array

SHAPES = {
    "one row": (1, (3, 4)),
    "one short shard": (3, (2, 5)),
    "full shards": (8, (6,)),
    "short last shard": (11, (2, 3, 2)),
    "rows without axes": (5, ()),
    "no rows": (0, (7, 2)),
}


@pytest.fixture(autouse=True)
def four_rows_per_shard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline.core.store.shards, "SHARD_ROWS", 4)


def draw(rows: int, row_shape: tuple[int, ...], dtype: str) -> np.ndarray:
    values = np.random.default_rng(rows).normal(0, 60, (rows, *row_shape))
    if dtype == "uint8":
        return values.astype(np.int64).astype(np.uint8)
    return values.astype(dtype)


def write_with_zarr(folder: Path, values: np.ndarray) -> None:
    length = shard_rows(len(values), values[:1].nbytes)
    array = zarr.create_array(
        str(folder),
        shape=values.shape,
        dtype=values.dtype,
        chunks=(1, *values.shape[1:]),
        shards=(length, *values.shape[1:]),
        filters=None,
        serializer=BytesCodec(endian=None if values.dtype == np.uint8 else "little"),
        compressors=[Crc32cCodec()],
        fill_value=0 if values.dtype == np.uint8 else float("nan"),
        chunk_key_encoding={"name": "default", "separator": "."},
        config={"write_empty_chunks": True},
    )
    if len(values):
        array[...] = values


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("dtype", ["float16", "float32", "uint8"])
@pytest.mark.parametrize("case", SHAPES)
def test_the_files_are_byte_identical_to_those_of_zarr_python(
    tmp_path: Path, case: str, dtype: str
) -> None:
    rows, row_shape = SHAPES[case]
    values = draw(rows, row_shape, dtype)
    write_with_zarr(tmp_path / "theirs", values)
    write_array(tmp_path / "ours", [values], rows=rows, row_shape=row_shape, dtype=dtype)
    assert contents(tmp_path / "ours") == contents(tmp_path / "theirs")


@pytest.mark.parametrize("fill", [0, np.nan])
def test_rows_of_fill_values_are_written(tmp_path: Path, fill: float) -> None:
    values = np.full((5, 3), fill, np.float16)
    write_with_zarr(tmp_path / "theirs", values)
    write_array(tmp_path / "ours", [values], rows=5, row_shape=(3,), dtype="float16")
    for name in (shard_name(0, 2), shard_name(1, 2)):
        assert (tmp_path / "ours" / name).read_bytes() == (tmp_path / "theirs" / name).read_bytes()


@settings(deadline=None, max_examples=25)
@given(cuts=st.lists(st.integers(0, 11), max_size=6))
def test_the_bytes_do_not_depend_on_the_blocks(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("cuts")
    values = draw(11, (2, 3), "float16")
    blocks = np.split(values, sorted(cuts))
    write_array(folder / "a", [values], rows=11, row_shape=(2, 3), dtype="float16")
    write_array(folder / "b", blocks, rows=11, row_shape=(2, 3), dtype="float16")
    assert contents(folder / "a") == contents(folder / "b")


def test_a_caller_may_reuse_the_buffer_of_a_block(tmp_path: Path) -> None:
    values = draw(10, (3,), "float32")

    def blocks() -> Iterator[np.ndarray]:
        buffer = np.empty((2, 3), np.float32)
        for start in range(0, 10, 2):
            buffer[...] = values[start : start + 2]
            yield buffer
            buffer[...] = np.nan

    write_array(tmp_path / "a", blocks(), rows=10, row_shape=(3,), dtype="float32")
    assert np.array_equal(zarr.open_array(str(tmp_path / "a"), mode="r")[...], values)


def test_blocks_need_not_be_contiguous(tmp_path: Path) -> None:
    values = draw(6, (4, 5), "float16")
    transposed = np.asfortranarray(values)
    write_array(tmp_path / "a", [transposed], rows=6, row_shape=(4, 5), dtype="float16")
    assert np.array_equal(zarr.open_array(str(tmp_path / "a"), mode="r")[...], values)


@pytest.mark.parametrize("limit", [1, 5, 64])
def test_short_writes_do_not_change_the_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    values = draw(9, (2, 3), "float16")
    write_array(tmp_path / "complete", [values], rows=9, row_shape=(2, 3), dtype="float16")

    def write_partly(descriptor: int, views: list[memoryview]) -> int:
        assert len(views) <= 3
        return os.write(descriptor, b"".join(views)[:limit])

    monkeypatch.setattr(os, "writev", write_partly)
    monkeypatch.setattr(os, "sysconf", lambda name: {"SC_IOV_MAX": 3}[name])
    write_array(tmp_path / "short", [values], rows=9, row_shape=(2, 3), dtype="float16")
    assert contents(tmp_path / "complete") == contents(tmp_path / "short")


def test_a_full_disk_leaves_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int, _views: list[memoryview]) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "writev", full)
    with pytest.raises(OSError, match="No space left"):
        write_array(tmp_path, [draw(2, (3,), "uint8")], rows=2, row_shape=(3,), dtype="uint8")
    assert contents(tmp_path) == {}


def test_the_size_of_a_shard_is_limited() -> None:
    assert shard_rows(10**6, 64 * 2**20) == 2
    assert shard_rows(10**6, 10**12) == 1
    assert shard_rows(0, 100) == 1
    assert shard_rows(3, 0) == 3


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ([np.zeros((2, 3), np.float16)], "expected 5 rows, got blocks with 2"),
        ([np.zeros((4, 3), np.float16)] * 2, "expected 5 rows, got blocks with more"),
        (
            [np.zeros((5, 2), np.float16)],
            r"expected blocks of rows \(3,\) of float16, got an array \(5, 2\)",
        ),
        ([np.zeros((5, 3), np.float32)], r"got an array \(5, 3\) of float32"),
    ],
)
def test_blocks_of_other_rows_are_rejected(
    tmp_path: Path, blocks: list[np.ndarray], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        write_array(tmp_path, blocks, rows=5, row_shape=(3,), dtype="float16")
    assert not (tmp_path / "zarr.json").exists()


def test_an_unsupported_dtype_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="got 'float64'"):
        write_array(tmp_path, [np.zeros((1, 2))], rows=1, row_shape=(2,), dtype="float64")


def test_the_metadata_has_checksums_and_no_compressor() -> None:
    text = json.dumps(array_metadata(300, (2, 96, 72), "float16"))
    assert text.count("crc32c") == 2
    assert not any(word in text for word in ("zstd", "blosc", "gzip"))
