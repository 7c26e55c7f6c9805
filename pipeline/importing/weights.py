"""Weights as others publish them: pickles, safetensors, folders of transformers."""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from torch import Tensor

from pipeline.networks.weights import read_weights
from pipeline.units.key import ROOT
from pipeline.units.receipts import hash_file


def read_published_weights(path: Path, scratch: Path) -> dict[str, Tensor]:
    """Return the tensors of a published file or folder by name.

    Args:
        path: A safetensors file, a pickle of PyTorch, or a folder with ``*.safetensors`` or
            ``pytorch_model*.bin``.
        scratch: Folder with room for a copy of the weights; it is left as it was.

    Raises:
        ValueError: If there is nothing to read, or it cannot be read without running code that is
            in it.
    """
    tensors: dict[str, Tensor] = {}
    for file in weight_files(path):
        part = read_weights(file) if file.suffix == ".safetensors" else _unpickle(file, scratch)
        if twice := set(part) & set(tensors):
            raise ValueError(
                f"{path}: expected every tensor in one file, got {min(twice)!r} in {file.name} and "
                "in another; keep the files of one model there"
            )
        tensors |= part
    return tensors


def weight_files(path: Path) -> list[Path]:
    """Return the files that hold the weights of a published file or folder.

    Raises:
        ValueError: If there are none.
    """
    if path.is_file():
        return [path]
    for pattern in ("*.safetensors", "pytorch_model*.bin"):
        if found := sorted(path.glob(pattern)):
            return found
    raise ValueError(
        f"{path}: expected a checkpoint, or a folder with *.safetensors or pytorch_model*.bin, "
        "found none; check the path"
    )


def check_sha256(path: Path, sha256: str) -> None:
    """Check that a file is the one that the user means.

    Args:
        path: The file.
        sha256: Its digest, or the first digits of it: PyTorch puts 8 into file names.

    Raises:
        ValueError: If the file is a folder or has another digest.
    """
    if not path.is_file():
        raise ValueError(f"{path}: expected a file where --sha256 is given, found none; leave it")
    found = hash_file(path)
    if len(sha256) < 8 or not found.startswith(sha256.lower()):
        raise ValueError(
            f"{path}: expected sha256 {sha256} (8 digits or more), got {found}; fetch the file "
            "again, from its authors"
        )


def _unpickle(path: Path, scratch: Path) -> dict[str, Tensor]:
    """Read a pickle in a process of its own, which may die of what is in it."""
    with TemporaryDirectory(prefix=".import-", dir=scratch) as folder:
        # The process runs in the project's folder, whatever the current one is.
        out = Path(folder).resolve() / "tensors.safetensors"
        command = [
            sys.executable,
            "-m",
            "pipeline.importing.pickle_reader",
            str(path.resolve()),
            str(out),
        ]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode != 0:
            lines = done.stderr.strip().splitlines()
            raise ValueError(
                lines[-1]
                if done.returncode == 1 and lines
                else f"{path}: the process that read it ended with {done.returncode}; is there "
                "enough memory? if so, do not trust this file"
            )
        return read_weights(out)
