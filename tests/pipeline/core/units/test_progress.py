"""Progress: plain lines for logs, a bar for terminals."""

import contextlib
import io
import os
import pty
import sys

import pytest

from pipeline.core.units.progress import progress


def test_a_log_gets_a_line_from_time_to_time_and_at_the_end(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, *(10.0 * i for i in range(1, 5))])
    monkeypatch.setattr("pipeline.core.units.progress.time.monotonic", lambda: next(clock))
    with progress("flow", 8, "units") as advance:
        for _ in range(4):
            advance(2)
    assert capsys.readouterr().err.splitlines() == [
        "flow: 4/8 units, 0.20/s, 00:00:20 left",
        "flow: 8/8 units, 0.20/s, 00:00:00 left",
    ]


def test_a_resumed_run_counts_from_where_it_was_interrupted(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 20.0, 30.0])
    monkeypatch.setattr("pipeline.core.units.progress.time.monotonic", lambda: next(clock))
    with progress("train", 200, "steps", 100) as advance:
        advance(20)
        advance(80)
    assert capsys.readouterr().err.splitlines() == [
        "train: 120/200 steps, 1.00/s, 00:01:20 left",
        "train: 200/200 steps, 3.33/s, 00:00:00 left",
    ]


def test_the_remaining_time_may_exceed_a_day(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 3600.0])
    monkeypatch.setattr("pipeline.core.units.progress.time.monotonic", lambda: next(clock))
    with progress("train", 100, "steps") as advance:
        advance()
    assert capsys.readouterr().err == "train: 1/100 steps, 0.00/s, 99:00:00 left\n"


def _everything(reader: int) -> str:
    """Return all that a closed terminal was given; a single read may bring a part of it."""
    parts = []
    # Linux ends the reading of a pty whose other side is closed with EIO.
    with contextlib.suppress(OSError):
        while part := os.read(reader, 100_000):
            parts.append(part)
    os.close(reader)
    return b"".join(parts).decode()


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = pty.openpty()
    with os.fdopen(writer, "w", encoding="utf-8") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("COLUMNS", "120")
        with progress("flow", 3, "clips") as advance:
            advance(3)
    shown = _everything(reader)
    assert "flow" in shown
    assert "3/3" in shown
    assert "clips" in shown


def test_no_items_print_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    silent = io.StringIO()
    monkeypatch.setattr(sys, "stderr", silent)
    with progress("flow", 0, "units"):
        pass
    assert silent.getvalue() == ""
