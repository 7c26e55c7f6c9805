"""How often a unit was tried: counted on disk, so that the count outlives every process.

An attempt that ended in an exception, or with the death of a worker that its driver saw, has
failed. An attempt whose driver died too is only interrupted: somebody may have pressed Ctrl-C.
"""

from pathlib import Path

LIMIT = 3
"""Failed attempts after which a unit is given up for this run."""

NAME = "attempts"
_STARTED = "started\n"


class Attempts:
    """The attempts at one unit, a line per event in its folder."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME

    def start(self) -> None:
        """Note that an attempt begins, before anything else happens."""
        self._append(_STARTED)

    def fail(self, reason: str) -> None:
        """Note that the attempt under way failed, and why."""
        self._append(f"failed {' '.join(reason.split())}\n")

    def clear(self) -> None:
        """Forget all attempts: the unit is finished, or its failure was reported."""
        self._path.unlink(missing_ok=True)

    @property
    def failures(self) -> list[str]:
        """Reasons of the failed attempts, oldest first."""
        return [line.removeprefix("failed ") for line in self._lines() if line.startswith("failed")]

    @property
    def interrupted(self) -> int:
        """Number of attempts that began and left no word."""
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
