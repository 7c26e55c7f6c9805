"""Atomic writes: the file has the old or the new content, also after an error or a kill."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.core.atomic_file import AtomicFile, write_file
from pipeline.core.errors import describe

ROOT = Path(__file__).resolve().parents[3]


def test_the_file_contains_all_pieces_in_order_and_replaces_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old and longer than the new content")
    with AtomicFile(path) as file:
        file.write([b"one", memoryview(b" two"), b""])
        file.write([b" three"])
        assert path.read_bytes().startswith(b"old")
    assert path.read_bytes() == b"one two three"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


def test_the_file_is_readable_by_all_users(tmp_path: Path) -> None:
    write_file(tmp_path / "a", b"x")
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o644


def test_an_exception_keeps_the_old_file_and_leaves_no_other(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")

    def fail() -> None:
        with AtomicFile(path) as file:
            file.write([b"half"])
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


def test_a_killed_writer_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    program = (
        "import os, sys\nfrom pathlib import Path\n"
        "from pipeline.core.atomic_file import AtomicFile\n"
        "with AtomicFile(Path(sys.argv[1])) as file:\n"
        "    file.write([b'half'])\n    os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], cwd=ROOT, check=False)
    assert done.returncode == -9
    assert path.read_bytes() == b"old"
    write_file(path, b"new")
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("operation", ["writev", "fsync"])
def test_a_full_disk_is_an_error_with_the_path_and_leaves_no_file(
    operation: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, operation, fail)
    with pytest.raises(OSError, match="No space left on device") as caught:
        write_file(tmp_path / "a", b"1")
    assert describe(caught.value) == (
        f"{tmp_path}/a: No space left on device; free some space and run the command again"
    )
    assert list(tmp_path.iterdir()) == []


def test_short_writes_lose_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def two_bytes(descriptor: int, views: list[memoryview]) -> int:
        return os.write(descriptor, bytes(views[0])[:2])

    monkeypatch.setattr(os, "writev", two_bytes)
    with AtomicFile(tmp_path / "a") as file:
        file.write([b"abcde", b"f", b"ghi"])
    assert (tmp_path / "a").read_bytes() == b"abcdefghi"
