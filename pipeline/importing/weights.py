"""Read weights of other projects: safetensors, pickles and transformers folders."""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from torch import Tensor

from pipeline.core.networks.weights import read_weights
from pipeline.core.units.key import ROOT
from pipeline.core.units.receipts import hash_file


def read_published_weights(path: Path, scratch: Path) -> dict[str, Tensor]:
    """Return the tensors of a published file or folder by name.

    Args:
        path: A safetensors file, a PyTorch pickle, or a folder with ``*.safetensors`` or
            ``pytorch_model*.bin``.
        scratch: Folder for a temporary copy of the weights.

    Raises:
        ValueError: If there are no weights, or they cannot be read without running code in them.
    """
    tensors: dict[str, Tensor] = {}
    for file in weight_files(path):
        check_binary(file)
        part = read_weights(file) if file.suffix == ".safetensors" else _unpickle(file, scratch)
        if duplicates := set(part) & set(tensors):
            raise ValueError(
                f"{path}: expected every tensor in one file, got {min(duplicates)!r} in "
                f"{file.name} and in another; keep only the files of one model there"
            )
        tensors |= part
    return tensors


def weight_files(path: Path) -> list[Path]:
    """Return the weight files of a published file or folder.

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


def check_binary(path: Path) -> None:
    """Check that a downloaded file is not text: a web page, an error message or a Git LFS pointer.

    Raises:
        ValueError: If the file is empty, or its beginning has no control characters.
    """
    with path.open("rb") as file:
        start = file.read(256)
    if not any(byte < 32 and byte not in b"\t\n\f\r" for byte in start):
        words = start.lstrip().lower()
        page = words.startswith((b"<!doctype html", b"<html"))
        kind = "an HTML page" if page else f"text, {start[:40]!r}" if start else "an empty file"
        raise ValueError(
            f"{path}: expected weights, got {kind}; download the file again, and open its address "
            "in a browser if this repeats"
        )


def check_sha256(path: Path, sha256: str) -> None:
    """Check the SHA-256 of a file.

    Args:
        path: The file.
        sha256: Expected digest or at least its first 8 digits, as in PyTorch's file names.

    Raises:
        ValueError: If the path is not a file, or the digest differs.
    """
    if not path.is_file():
        raise ValueError(f"{path}: expected a file for --sha256, found none; omit the option")
    found = hash_file(path)
    if len(sha256) < 8 or not found.startswith(sha256.lower()):
        raise ValueError(
            f"{path}: expected sha256 {sha256} (8 digits or more), got {found}; download the "
            "file again from its authors"
        )


def _unpickle(path: Path, scratch: Path) -> dict[str, Tensor]:
    """Read a pickle in a subprocess, which may crash."""
    with TemporaryDirectory(prefix=".import-", dir=scratch) as folder:
        # The subprocess runs in the project's folder, so paths must be absolute.
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
                else f"{path}: the reading process ended with exit code {done.returncode}; check "
                "the free memory; otherwise do not trust this file"
            )
        return read_weights(out)
