"""Progress of long work: a bar on a terminal, otherwise a line from time to time."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

_LINE_SECONDS = 15.0
"""Minimum time between two lines."""


class Advance(Protocol):
    """Reports finished items."""

    def __call__(self, count: int = 1) -> None:
        """Count ``count`` more items as finished."""


@contextmanager
def progress(title: str, total: int, what: str, done: int = 0) -> Iterator[Advance]:
    """Show progress with rate and remaining time on stderr.

    Args:
        title: Name of the work, such as the stage.
        total: Number of items.
        what: Name of the items, plural.
        done: Items that an interrupted run has finished; they do not count for the rate.

    Yields:
        A function to call with the number of finished items.
    """
    show = _bar if sys.stderr.isatty() else _lines
    with show(title, total, what, done) as advance:
        yield advance


@contextmanager
def _bar(title: str, total: int, what: str, before: int) -> Iterator[Advance]:
    # Imported here: only a terminal needs it.
    import rich.console  # noqa: PLC0415
    import rich.progress as parts  # noqa: PLC0415

    columns = (
        parts.TextColumn("{task.description}"),
        parts.BarColumn(),
        parts.MofNCompleteColumn(),
        parts.TextColumn(f"{what}, {{task.fields[rate]}}"),
        parts.TimeElapsedColumn(),
        parts.TextColumn("left"),
        parts.TimeRemainingColumn(),
    )
    with parts.Progress(*columns, console=rich.console.Console(stderr=True)) as bar:
        item = bar.add_task(title, total=total, completed=before, rate="")

        def advance(count: int = 1) -> None:
            bar.advance(item, count)
            speed = bar.tasks[item].speed
            bar.update(item, rate=f"{speed:.2f}/s" if speed else "")

        yield advance


@contextmanager
def _lines(title: str, total: int, what: str, before: int) -> Iterator[Advance]:
    begin = printed = time.monotonic()
    done = before

    def advance(count: int = 1) -> None:
        nonlocal done, printed
        done += count
        now = time.monotonic()
        if now - printed >= _LINE_SECONDS or done == total:
            printed = now
            rate = (done - before) / max(now - begin, 1e-9)
            sys.stderr.write(_line(title, done, total, what, rate))
            sys.stderr.flush()

    yield advance


def _line(title: str, done: int, total: int, what: str, rate: float) -> str:
    left = int((total - done) / rate) if rate else 0
    clock = f"{left // 3600:02}:{left // 60 % 60:02}:{left % 60:02}"
    return f"{title}: {done}/{total} {what}, {rate:.2f}/s, {clock} left\n"
