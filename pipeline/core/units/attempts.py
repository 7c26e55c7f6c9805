"""Attempts at a unit, counted on disk so that the count survives the process.

An attempt has failed if it ended in an exception, or if its worker died and the driver noticed. If
the driver died too, the attempt was interrupted, for example by Ctrl-C.
"""

from pathlib import Path

LIMIT = 3
"""Failed attempts after which a run does not try a unit again."""

NAME = "attempts"
_STARTED = "started\n"


class Attempts:
    """The attempts at one unit: a file in its folder with a line per event."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME

    def start(self) -> None:
        """Record the start of an attempt; called before anything else happens."""
        self._append(_STARTED)

    def fail(self, reason: str) -> None:
        """Record that the current attempt failed, and why."""
        self._append(f"failed {' '.join(reason.split())}\n")

    def clear(self) -> None:
        """Delete the record: the unit is finished, or its failure was reported."""
        self._path.unlink(missing_ok=True)

    @property
    def failures(self) -> list[str]:
        """Reasons of the failed attempts, oldest first."""
        return [line.removeprefix("failed ") for line in self._lines() if line.startswith("failed")]

    @property
    def interrupted(self) -> int:
        """Number of attempts that started and recorded no end."""
        lines = self._lines()
        return max(0, 2 * lines.count(_STARTED.strip()) - len(lines))

    def _lines(self) -> list[str]:
        try:
            return self._path.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []

    def _append(self, line: str) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(line)
