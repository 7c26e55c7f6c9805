"""Stores as the stages publish them, from arrays in memory."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from pipeline.store.reader import DIGESTS, group_attributes
from pipeline.store.shards import encode_json, group_metadata, write_array


def write_unit(folder: Path, values: np.ndarray) -> None:
    """Write the array of one unit."""
    write_array(
        folder, [values], rows=len(values), row_shape=values.shape[1:], dtype=values.dtype.name
    )


def write_store(root: Path, kind: str, units: Mapping[str, np.ndarray]) -> None:
    """Write a whole store; its digests are no digests.

    Args:
        root: Folder to make.
        kind: Kind of the store.
        units: Rows of every unit, by ``<video>/v0``.
    """
    for name, values in units.items():
        write_unit(root / name, values)
        (root / name).with_name("zarr.json").write_bytes(encode_json(group_metadata({})))
    (root / "zarr.json").write_bytes(encode_json(group_metadata(group_attributes(kind))))
    (root / DIGESTS).write_text(json.dumps(dict.fromkeys(units, "")), encoding="utf-8")
