"""Turn the errors of commands into one line on stderr and exit code 1."""

import atexit
import errno
import gc
import os
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import NoReturn, ParamSpec, TypeVar

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

_PERMISSIONS = "change its permissions or choose another path"
_SPACE = "free some space and run the command again"
_CURES = {
    errno.EACCES: _PERMISSIONS,
    errno.EPERM: _PERMISSIONS,
    errno.EROFS: "make the file system writable or choose another path",
    errno.ENOSPC: _SPACE,
    errno.EDQUOT: _SPACE,
    errno.EFBIG: "raise the limit of the file size (ulimit -f) and run the command again",
    errno.EISDIR: "give a file",
    errno.ENOTDIR: "give a folder",
}
"""What a user can do about a failed file operation, by error number."""


def one_line(command: Callable[Arguments, Result], name: str = "") -> Callable[Arguments, Result]:
    """Wrap a command so that invalid input and failed file operations give one line, not a trace.

    The code raises ``ValueError`` and ``OSError`` for invalid input. Every other exception is a bug
    and keeps its traceback.

    Args:
        command: Function of the command; its signature is kept for typer.
        name: The command as typed; by default the name of the function's file without its suffix.

    Returns:
        The same function; on such an error it prints ``<name>: <message>`` to stderr and exits
        with code 1.
    """
    # Under `python -m` the module name is __main__, so the file gives the name.
    shown = name or Path(command.__code__.co_filename).stem

    @wraps(command)
    def wrapped(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        skip_final_collection()
        try:
            return command(*args, **kwargs)
        except OSError as error:
            leave(shown, describe(error))
        except ValueError as error:
            leave(shown, str(error))

    return wrapped


def describe(error: OSError) -> str:
    """Return the message of a failed file operation: the path, the reason and the cure."""
    if error.strerror is None:
        return str(error)
    where = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
    return f"{where}{error.strerror}; {_CURES.get(error.errno or 0, 'check the path')}"


def skip_final_collection() -> None:
    """Skip the final garbage collection of this process.

    At exit, Python's garbage collector visits every object of torch, which takes a second or more.
    The operating system frees the memory anyway.
    """
    atexit.register(gc.freeze)


def leave(name: str, message: str) -> NoReturn:
    """Write ``name: message`` on one line to stderr and exit with code 1."""
    sys.stderr.write(f"{name}: {' '.join(message.split())}\n")
    raise SystemExit(1)
