"""Tables: checked columns, deterministic bytes, round trips."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from pipeline.core.tables.parquet import digest_rows, read_table, write_table

SCHEMA = pa.schema(
    [
        ("video", pa.string()),
        ("frame", pa.int32()),
        ("score", pa.float64()),
        ("keypoints", pa.list_(pa.float64())),
        ("frames", pa.list_(pa.int32())),
        ("flipped", pa.bool_()),
    ]
)


def frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "video": ["bonn", "straße"],
            "frame": [3, -1],
            "score": [np.nan, 0.1],
            "keypoints": [np.array([1.5, np.nan]), []],
            "frames": [[1, 2, 2], np.array([7])],
            "flipped": [True, False],
        }
    )


def test_a_table_is_read_back_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "new" / "clips.parquet"
    write_table(path, frame(), SCHEMA)
    back = read_table(path, SCHEMA)
    assert list(back) == SCHEMA.names
    assert back["frame"].dtype == np.int32
    assert back["video"].tolist() == ["bonn", "straße"]
    assert np.isnan(back["score"][0])
    assert np.array_equal(back["keypoints"][0], [1.5, np.nan], equal_nan=True)
    assert [list(row) for row in back["frames"]] == [[1, 2, 2], [7]]


def test_nan_is_stored_as_a_value_not_as_null(tmp_path: Path) -> None:
    write_table(tmp_path / "t.parquet", frame(), SCHEMA)
    table = parquet.read_table(tmp_path / "t.parquet")
    assert [column.null_count for column in table.columns] == [0] * 6
    assert np.isnan(table["keypoints"].to_pylist()[0][1])


def test_the_bytes_do_not_depend_on_index_and_column_order(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    write_table(path, frame(), SCHEMA)
    content = path.read_bytes()
    reordered = frame()[SCHEMA.names[::-1]].set_index(pd.Index([9, 4]))
    for same in (reordered, read_table(path, SCHEMA)):
        write_table(path, same, SCHEMA)
        assert path.read_bytes() == content
        assert digest_rows(same, SCHEMA) == digest_rows(frame(), SCHEMA)


def test_an_empty_table_keeps_its_columns(tmp_path: Path) -> None:
    for empty in (frame()[:0], pd.DataFrame({name: [] for name in SCHEMA.names})):
        write_table(tmp_path / "t.parquet", empty, SCHEMA)
        back = read_table(tmp_path / "t.parquet", SCHEMA)
        assert len(back) == 0
        assert list(back) == SCHEMA.names


@settings(deadline=None, max_examples=30)
@given(
    column=st.sampled_from(["frame", "score", "video"]),
    row=st.integers(0, 1),
    other=st.integers(-5, 10**6),
)
def test_the_digest_changes_with_every_value(column: str, row: int, other: int) -> None:
    changed = frame()
    changed.loc[row, column] = str(other) if column == "video" else other
    same = changed.loc[row, column] == frame().loc[row, column]
    assert (digest_rows(changed, SCHEMA) == digest_rows(frame(), SCHEMA)) == same


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("frame", [1.5, 2], "'frame' is not of type int32"),
        ("frame", [2**40, 1], "'frame' is not of type int32"),
        ("frame", [np.nan, 1], "'frame' is not of type int32"),
        ("frame", ["1", "2"], "'frame' is not of type int32"),
        ("video", ["a", None], "'video'"),
        ("video", [1, 2], "'video' is not of type string"),
        ("keypoints", [None, [1.0]], "'keypoints' has no value in row 0"),
        ("keypoints", [[None], [1.0]], "'keypoints' has lists with null values"),
    ],
)
def test_values_of_another_type_raise_an_error(
    tmp_path: Path, column: str, values: list[object], message: str
) -> None:
    path = tmp_path / "t.parquet"
    with pytest.raises(ValueError, match=rf"t\.parquet: column {message}"):
        write_table(path, frame().assign(**{column: values}), SCHEMA)
    assert not path.exists()


def test_missing_and_unknown_columns_are_named(tmp_path: Path) -> None:
    wrong = frame().rename(columns={"score": "scores"})
    with pytest.raises(ValueError, match=r"missing \['score'\], unknown \['scores'\]"):
        write_table(tmp_path / "t.parquet", wrong, SCHEMA)
    write_table(tmp_path / "t.parquet", frame(), SCHEMA)
    other = SCHEMA.set(1, pa.field("frame", pa.int64()))
    with pytest.raises(ValueError, match="columns frame: int64, got frame: int32 instead"):
        read_table(tmp_path / "t.parquet", other)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"\0" * 100])
def test_a_file_that_is_not_parquet_raises_an_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "t.parquet"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"t\.parquet: cannot be read as Parquet"):
        read_table(path, SCHEMA)


def test_a_missing_table_raises_an_error_with_the_command(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"t\.parquet: expected a table, found no file; run: dvc"):
        read_table(tmp_path / "t.parquet", SCHEMA)


def test_writing_replaces_the_file_and_keeps_its_hard_links(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    write_table(path, frame(), SCHEMA)
    (tmp_path / "cached").hardlink_to(path)
    before = (tmp_path / "cached").read_bytes()
    write_table(path, frame()[:1], SCHEMA)
    assert (tmp_path / "cached").read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cached", "t.parquet"]
