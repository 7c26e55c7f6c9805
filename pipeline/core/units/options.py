"""How the units of a stage are computed: engine, workers, threads, slice."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from pipeline.core.units.compute import Task

MakeTask = Callable[[], Task]
"""Makes a stage's task in the process that uses it; must be picklable."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How a stage computes; nothing here changes a byte, so no key contains it."""

    engine: Literal["local", "ray", "direct"] = "local"
    """``direct`` computes in this process, one attempt per unit; an error ends the stage."""
    workers: int = 1
    threads: int = 1
    """Threads per worker, the same for every engine."""
    part: tuple[int, int] | None = None
    """Slice (i, n): compute every n-th unit from unit i on, and publish nothing."""
    devices: tuple[str, ...] = ()
    """CUDA_VISIBLE_DEVICES of the workers, assigned in turn; empty leaves it unchanged."""
    gpus: int = 0
    """GPUs that Ray reserves for each worker."""

    def on(self, device: str) -> "RunOptions":
        """Return options for workers on ``cpu`` or ``cuda``."""
        return replace(self, gpus=int(device == "cuda"))

    def with_a_worker_per(self, share: int, units: int) -> "RunOptions":
        """Return options with fewer workers where there are few units.

        Args:
            share: Units that take about as long as the start of one more worker.
            units: Number of units.
        """
        return replace(self, workers=max(1, min(self.workers, units // share)))


def parse_part(text: str) -> tuple[int, int]:
    """Return the slice that ``--units i/n`` names.

    Args:
        text: ``i/n`` with 0 <= i < n.

    Raises:
        ValueError: If the text has another form.
    """
    index, slash, count = text.partition("/")
    if slash and index.isdecimal() and count.isdecimal() and int(index) < int(count):
        return int(index), int(count)
    raise ValueError(f"--units: expected i/n with 0 <= i < n, such as 0/4, got {text!r}")
