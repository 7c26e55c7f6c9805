"""Reading of a file that the user names, with errors that say what was found in its place."""

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_OTHER_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def read_regular_file(path: Path, expected: str, cure: str) -> bytes:
    """Return the content of a file.

    Only regular files are opened: opening a named pipe would wait for a process that writes to it.

    Args:
        path: Path of the file.
        expected: What the file should be, for the error message, such as ``an image file``.
        cure: What the user can do, for the error message.

    Raises:
        ValueError: If the file is missing, not a regular file or not readable.
    """
    check_regular_file(path, expected, cure)
    with _naming(path, expected, cure):
        return path.read_bytes()


def check_regular_file(path: Path, expected: str, cure: str) -> None:
    """Check that a path is a regular file, without opening it; see ``read_regular_file``.

    Raises:
        ValueError: If the file is missing or not a regular file.
    """
    with _naming(path, expected, cure):
        mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        found = next((name for is_kind, name in _OTHER_KINDS if is_kind(mode)), "a special file")
        raise ValueError(f"{path}: expected {expected}, found {found}; {cure}")


@contextmanager
def _naming(path: Path, expected: str, cure: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise ValueError(f"{path}: expected {expected}, found nothing; {cure}") from error
    except (OSError, ValueError) as error:
        # A path with a NUL character is a ValueError.
        reason = getattr(error, "strerror", None) or str(error)
        raise ValueError(
            f"{path}: expected {expected}, but it cannot be read ({reason}); {cure}"
        ) from error
