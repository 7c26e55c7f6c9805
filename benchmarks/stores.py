"""Writing stores in the format of the stages from arrays in memory."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from pipeline.core.store.reader import DIGESTS, group_attributes
from pipeline.core.store.shards import encode_json, group_metadata, write_array


def write_unit(folder: Path, values: np.ndarray) -> None:
    """Write the array of a unit."""
    write_array(
        folder, [values], rows=len(values), row_shape=values.shape[1:], dtype=values.dtype.name
    )


def write_store(root: Path, kind: str, units: Mapping[str, np.ndarray]) -> None:
    """Write a complete store, with empty strings as digests.

    Args:
        root: Folder to create.
        kind: Kind of the store.
        units: Rows of every unit by its name, ``<video>/v0``.
    """
    for name, values in units.items():
        write_unit(root / name, values)
        (root / name).with_name("zarr.json").write_bytes(encode_json(group_metadata({})))
    (root / "zarr.json").write_bytes(encode_json(group_metadata(group_attributes(kind))))
    (root / DIGESTS).write_text(json.dumps(dict.fromkeys(units, "")), encoding="utf-8")
