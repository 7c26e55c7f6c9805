"""Parquet tables with checked columns, written atomically and deterministically."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from pipeline.core.atomic_file import write_file


def write_table(path: Path, frame: pd.DataFrame, schema: pa.Schema) -> None:
    """Write a table.

    Equal values give equal bytes for a given version of pyarrow: the file has no index, no pandas
    metadata and fixed encodings.

    Args:
        path: The Parquet file. Its folder is created.
        frame: The rows, with exactly the columns of the schema, in any order.
        schema: Name and type of every column, in the order of the file.

    Raises:
        ValueError: If columns are missing or unknown, or a value is null or does not match its
            type. NaN is a valid float.
    """
    table = _to_arrow(str(path), frame, schema)
    sink = pa.BufferOutputStream()
    parquet.write_table(table, sink, compression="zstd", store_schema=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, sink.getvalue().to_pybytes())


def read_table(path: Path, schema: pa.Schema) -> pd.DataFrame:
    """Read a table whose columns are exactly those of the schema.

    Args:
        path: The Parquet file.
        schema: Name and type of every column, in order.

    Returns:
        The rows. A list column has one array per row.

    Raises:
        ValueError: If the file is missing, not a Parquet file, or has other columns.
    """
    try:
        table = parquet.read_table(path, partitioning=None)
    except FileNotFoundError as error:
        raise ValueError(f"{path}: expected a table, found no file; run: dvc repro") from error
    except (OSError, pa.ArrowException) as error:
        raise ValueError(f"{path}: cannot be read as Parquet ({error}); write it again") from error
    if list(table.schema) != list(schema):
        # Fields are compared one by one, because equal list types may name their items differently.
        unexpected = [field for field in table.schema if field not in list(schema)]
        missing = [field for field in schema if field not in list(table.schema)]
        raise ValueError(
            f"{path}: expected the columns {_names(missing)}, got {_names(unexpected)} instead; "
            "run the stage that wrote it again"
        )
    frame: pd.DataFrame = table.to_pandas()
    return frame


def digest_rows(frame: pd.DataFrame, schema: pa.Schema) -> str:
    """Return a digest of the values of a table, independent of library versions.

    Args:
        frame: The rows.
        schema: Name and type of every column.

    Returns:
        SHA-256 of the rows as canonical JSON, with columns in the order of the schema.

    Raises:
        ValueError: As in ``write_table``.
    """
    columns = _to_arrow("rows of a unit key", frame, schema).to_pydict()
    text = json.dumps(columns, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _to_arrow(where: str, frame: pd.DataFrame, schema: pa.Schema) -> pa.Table:
    missing, unknown = set(schema.names) - set(frame), set(frame) - set(schema.names)
    if missing or unknown:
        raise ValueError(
            f"{where}: expected the columns {schema.names}; missing {sorted(missing)}, "
            f"unknown {sorted(map(str, unknown))}"
        )
    columns = [_column(where, frame[field.name], field) for field in schema]
    return pa.table(columns, schema=schema.remove_metadata())


def _column(where: str, values: pd.Series, field: pa.Field) -> pa.Array:
    # pa.Array.from_pandas would convert NaN to null, also inside lists.
    plain: np.ndarray | list[object] = values.to_numpy() if len(values) else []
    if isinstance(plain, np.ndarray) and plain.dtype == object:
        plain = [cell.tolist() if isinstance(cell, np.ndarray) else cell for cell in plain]
    try:
        array = pa.array(plain, type=field.type, from_pandas=False)
    except (pa.ArrowException, OverflowError, TypeError, ValueError) as error:
        raise ValueError(
            f"{where}: column {field.name!r} is not of type {field.type}: {error}"
        ) from error
    if pa.types.is_list(field.type) and array.flatten().null_count:
        raise ValueError(f"{where}: column {field.name!r} has lists with null values")
    if array.null_count:
        row = array.is_null().to_pylist().index(True)
        raise ValueError(f"{where}: column {field.name!r} has no value in row {row}")
    return array


def _names(fields: list[pa.Field]) -> str:
    return ", ".join(f"{field.name}: {field.type}" for field in fields) or "in another order"
