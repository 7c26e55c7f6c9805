"""Weights files: equal bytes for equal values, and errors that name the file."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from pipeline.core.networks.weights import read_metadata, read_weights, write_weights

TENSORS = {
    "b": torch.arange(6).reshape(2, 3).t(),  # not contiguous
    "a": torch.randn(4, dtype=torch.float16),
    "count": torch.tensor(3),
}


def test_safetensors_reads_the_written_file(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "w.safetensors"
    write_weights(path, TENSORS)
    for found in (load_file(path), read_weights(path)):
        assert set(found) == set(TENSORS)
        for name, tensor in TENSORS.items():
            assert found[name].dtype == tensor.dtype
            assert torch.equal(found[name], tensor)
    assert [entry.name for entry in path.parent.iterdir()] == ["w.safetensors"]


def test_the_file_is_readable_for_everybody(tmp_path: Path) -> None:
    write_weights(tmp_path / "w.safetensors", TENSORS)
    assert (tmp_path / "w.safetensors").stat().st_mode & 0o777 == 0o644


def test_the_order_of_the_tensors_does_not_change_the_bytes(tmp_path: Path) -> None:
    write_weights(tmp_path / "one", TENSORS, {"x": "1"})
    write_weights(tmp_path / "two", dict(reversed(TENSORS.items())), {"x": "1"})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert read_metadata(tmp_path / "one") == {"x": "1"}


def test_missing_and_damaged_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"none\.safetensors: expected weights, found no file"):
        read_weights(tmp_path / "none.safetensors")
    path = tmp_path / "cut.safetensors"
    write_weights(path, TENSORS)
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(ValueError, match=r"cut\.safetensors: expected a safetensors file"):
        read_weights(path)
