"""Shared parts of the benchmarks: timing, medians, machine information, tables, options.

CPU seconds include all threads and the child processes. On a shared machine they are more reliable
than wall seconds; the tables show both.
"""

import json
import os
import platform
import resource
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

Quick = Annotated[bool, typer.Option(help="Use less data and fewer rounds; takes under a minute.")]
JsonFile = Annotated[Path | None, typer.Option("--json", help="JSON file for the figures.")]
Figures = dict[str, Any]

_PACKAGES = ("numpy", "torch", "zarr")


class Cost(NamedTuple):
    """Duration in seconds."""

    wall: float
    cpu: float

    def per(self, count: int) -> "Cost":
        """Return the cost of one of ``count`` equal parts."""
        return Cost(self.wall / count, self.cpu / count)


def cost_of(action: Callable[[], object]) -> Cost:
    """Run an action once and return its cost."""
    wall, cpu = time.perf_counter(), cpu_seconds()
    action()
    return Cost(time.perf_counter() - wall, cpu_seconds() - cpu)


def cpu_seconds() -> float:
    """Return the CPU seconds of this process and its children so far."""
    tick = os.sysconf("SC_CLK_TCK")
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = time.process_time() + ended.ru_utime + ended.ru_stime
    for listing in Path("/proc/self/task").glob("*/children"):
        for child in listing.read_text().split():
            with suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
                # proc(5): user and system time are fields 14 and 15; the name may hold spaces.
                fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
                seconds += (int(fields[11]) + int(fields[12])) / tick
    return seconds


def median_cost(costs: Iterable[Cost]) -> Cost:
    """Return the separate medians of wall and CPU seconds."""
    wall, cpu = zip(*costs, strict=True)
    return Cost(statistics.median(wall), statistics.median(cpu))


def median_ratio(costs: Sequence[float], baseline: Sequence[float]) -> float:
    """Return the median over rounds of cost / baseline, which cancels slowdowns of full rounds."""
    return statistics.median(a / b for a, b in zip(costs, baseline, strict=True))


def machine() -> Figures:
    """Return the properties of the machine and the versions that the figures depend on."""
    model = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        if line.startswith("model name")
    ]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": model[0] if model else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory / 2**30, 1),
        "load": round(os.getloadavg()[0], 2),
        "date": time.strftime("%Y-%m-%d"),
        "python": platform.python_version(),
        **{name: version(name) for name in _PACKAGES},
    }


def show(title: str, rows: Sequence[Sequence[str | float]]) -> None:
    """Print a table.

    Args:
        title: Title of the table.
        rows: Cells; the first row is the header. Floats are printed with three digits.
    """
    cells = [[_text(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    print(f"\n{title}")
    for first, *others in cells:
        numbers = (cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))
        print("  ".join([first.ljust(widths[0]), *numbers]))


def _text(cell: str | float) -> str:
    if isinstance(cell, float):
        return f"{cell:,.0f}" if abs(cell) >= 1000 else f"{cell:.3g}"
    return str(cell)


def write_figures(json_file: Path | None, figures: Figures) -> None:
    """Write the figures and the machine to a JSON file, if one is given."""
    if json_file is not None:
        content = json.dumps({"machine": machine()} | figures, indent=1, sort_keys=True)
        json_file.write_text(content + "\n", encoding="utf-8")


def describe_machine() -> str:
    """Return a description of the machine in one line."""
    return ", ".join(f"{name} {value}" for name, value in machine().items())
