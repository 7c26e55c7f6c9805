"""A file that is missing, of another kind or not readable is named with what was found."""

import errno
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.core.regular_file import read_regular_file


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


def link_to_itself(path: Path) -> None:
    path.symlink_to(path.name)


def nothing(path: Path) -> None:
    assert not path.exists()


@pytest.mark.parametrize(
    ("create", "message"),
    [
        (nothing, "expected a table, found nothing; restore it"),
        (os.mkdir, "expected a table, found a folder; restore it"),
        (os.mkfifo, "expected a table, found a named pipe; restore it"),
        (make_socket, "expected a table, found a socket; restore it"),
        (link_to_itself, r"but it cannot be read \(Too many levels of symbolic links\); restore"),
    ],
)
def test_anything_but_a_regular_file_is_named(
    create: Callable[[Path], None],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)  # paths of sockets are short
    create(Path("a"))
    with pytest.raises(ValueError, match=f"a: .*{message}"):
        read_regular_file(Path("a"), "a table", "restore it")


def test_a_device_is_not_read() -> None:
    with pytest.raises(ValueError, match="/dev/zero: expected a table, found a device; no"):
        read_regular_file(Path("/dev/zero"), "a table", "no")


def test_a_file_without_permission_is_named_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").touch()

    def refuse(path: Path) -> bytes:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(ValueError, match=r"cannot be read \(Permission denied\); restore it"):
        read_regular_file(tmp_path / "a", "a table", "restore it")


def test_the_content_of_a_file_and_of_a_link_to_it_is_returned(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1\n")
    (tmp_path / "b").symlink_to("a")
    assert read_regular_file(tmp_path / "b", "a table", "") == b"1\n"
