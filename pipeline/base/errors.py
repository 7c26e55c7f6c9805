"""What a user sees when a command cannot go on: one line on stderr and exit code 1."""

import atexit
import gc
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import NoReturn, ParamSpec, TypeVar

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def one_line(command: Callable[Arguments, Result], name: str = "") -> Callable[Arguments, Result]:
    """Wrap a command so that bad input and failed file operations end in one line, not a trace.

    ``ValueError`` and ``OSError`` are what the product code raises for input that it cannot use;
    every other exception is a fault of the program and keeps its traceback.

    Args:
        command: The function behind a command; its signature is kept for typer.
        name: The command as typed; by default the name of the function's file without its suffix.

    Returns:
        The same function, which prints ``<name>: <message>`` to stderr and leaves with exit code 1
        on such an error.
    """
    # Under `python -m` the module is called __main__, so the file names the command.
    shown = name or Path(command.__code__.co_filename).stem

    @wraps(command)
    def wrapped(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        end_fast()
        try:
            return command(*args, **kwargs)
        except (ValueError, OSError) as error:
            leave(shown, str(error))

    return wrapped


def end_fast() -> None:
    """Let this process skip the search for garbage when it ends.

    Python's last collections walk through every object that torch made: a second or more, for
    memory that the system takes back with the process.
    """
    atexit.register(gc.freeze)


def leave(name: str, message: str) -> NoReturn:
    """Write ``name: message``, on one line, to stderr and end the process with exit code 1."""
    sys.stderr.write(f"{name}: {' '.join(message.split())}\n")
    raise SystemExit(1)
