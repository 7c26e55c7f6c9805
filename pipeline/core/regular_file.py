"""Reading of a file that the user names, with errors that say what was found in its place."""

import stat
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
    try:
        mode = path.stat().st_mode
        if stat.S_ISREG(mode):
            return path.read_bytes()
    except FileNotFoundError as error:
        raise ValueError(f"{path}: expected {expected}, found nothing; {cure}") from error
    except (OSError, ValueError) as error:
        # A path with a NUL character is a ValueError.
        reason = getattr(error, "strerror", None) or str(error)
        raise ValueError(
            f"{path}: expected {expected}, but it cannot be read ({reason}); {cure}"
        ) from error
    found = next((name for is_kind, name in _OTHER_KINDS if is_kind(mode)), "a special file")
    raise ValueError(f"{path}: expected {expected}, found {found}; {cure}")
