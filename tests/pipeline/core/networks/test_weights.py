"""Weights files: equal bytes for equal values, and errors that name the file."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from pipeline.core.networks.weights import read_metadata, read_weights, write_weights
from pipeline.core.units.key import weights_digest

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
    with pytest.raises(
        ValueError, match=r"none\.safetensors: expected a weights file, found nothing"
    ):
        read_weights(tmp_path / "none.safetensors")
    path = tmp_path / "cut.safetensors"
    write_weights(path, TENSORS)
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(ValueError, match=r"cut\.safetensors: expected a safetensors file"):
        read_weights(path)


@pytest.mark.parametrize("read", [read_weights, read_metadata])
@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"",
        lambda data: data[: len(data) // 2],
        lambda data: b"\xff" * 8 + data[8:],
        lambda data: data[:8] + b"\xf6" + data[9:],
        lambda data: data[:-4],
    ],
    ids=["empty", "cut", "huge header", "header not UTF-8", "short"],
)
def test_a_damaged_file_is_named_by_every_reader(
    damage: Callable[[bytes], bytes], read: Callable[[Path], object], tmp_path: Path
) -> None:
    file = tmp_path / "a.safetensors"
    write_weights(file, {"x": torch.arange(100.0)}, {"note": "b"})
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(ValueError, match=r"a.safetensors: expected a safetensors file, got"):
        read(file)


@pytest.mark.parametrize("read", [read_weights, read_metadata, weights_digest])
def test_a_folder_in_place_of_weights_is_named(
    read: Callable[[Path], object], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=f"{tmp_path}: expected a weights file, found a folder"):
        read(tmp_path)
