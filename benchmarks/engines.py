"""Overhead of the engines compared with a plain loop, for units of one second.

The plain loop calls the task for each unit in turn, without locks, receipts and publishing. Two
workers take at least half of its time; the time beyond that is the overhead. A slice is a separate
process, as started by a scheduler; a final build publishes the units of all slices. The benchmark
fails if two engines publish different bytes.

    python -m benchmarks.engines [--quick] [--json FILE]
"""

import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import typer

from benchmarks.measurement import (
    Figures,
    JsonFile,
    Quick,
    cost_of,
    describe_machine,
    show,
    write_figures,
)
from benchmarks.second_units import SECONDS, build_units, make_project, names_of, write_second

PLAIN = "plain loop"
WORKERS = 2
ROOT = Path(__file__).resolve().parents[1]

app = typer.Typer(add_completion=False)
Run = Callable[[Path, int], object]


def run_plainly(project: Path, count: int) -> None:
    """Call the task for every unit in this process."""
    for name in names_of(count):
        write_second(name, project / name)


def run_slices(project: Path, count: int) -> None:
    """Compute two slices in two concurrent processes, then publish."""
    code = (
        "import sys; from pathlib import Path; from benchmarks.second_units import build_units; "
        "build_units(Path(sys.argv[1]), int(sys.argv[2]), part=sys.argv[3])"
    )
    slices = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(project), str(count), f"{part}/{WORKERS}"],
            cwd=ROOT,
            stderr=subprocess.DEVNULL,
        )
        for part in range(WORKERS)
    ]
    if failed := [process.args for process in slices if process.wait()]:
        raise RuntimeError(f"engines: a slice failed: {failed}")
    build_units(project, count)


RAY_START, RAY_WARM = "ray, 2 workers, cluster started", "ray, 2 workers, cluster running"
ENGINES: dict[str, tuple[int, Run]] = {
    PLAIN: (1, run_plainly),
    "local, in process": (1, partial(build_units)),
    "local, 2 workers": (WORKERS, partial(build_units, workers=WORKERS)),
    "--units 0/2 and 1/2": (WORKERS, run_slices),
    RAY_START: (WORKERS, partial(build_units, engine="ray", workers=WORKERS)),
    RAY_WARM: (WORKERS, partial(build_units, engine="ray", workers=WORKERS)),
}
"""Number of workers and function of every engine."""


def stop_ray() -> None:
    """Stop the Ray cluster, so that the next build starts one."""
    import ray  # noqa: PLC0415  an extra

    ray.shutdown()


def published(project: Path) -> dict[str, bytes]:
    """Return the published files by path."""
    data = project / "data"
    return {str(p.relative_to(data)): p.read_bytes() for p in data.rglob("*") if p.is_file()}


def measure(count: int, rounds: int, engines: list[str]) -> dict[str, list[float]]:
    """Return the wall seconds of every engine by round.

    Raises:
        RuntimeError: If two engines publish different bytes.
    """
    seconds: dict[str, list[float]] = {name: [] for name in engines}
    outs: dict[str, dict[str, bytes]] = {}
    for _ in range(rounds):
        for name in engines:
            if name == RAY_START:
                stop_ray()
            with TemporaryDirectory() as folder:
                project = make_project(Path(folder) / "repo")
                run = ENGINES[name][1]
                seconds[name].append(cost_of(partial(run, project, count)).wall)
                if name != PLAIN:
                    outs[name] = published(project)
    first, *others = outs.values()
    if not first or any(out != first for out in others):
        raise RuntimeError(
            f"engines: expected the same bytes from {list(outs)}, got different ones"
        )
    return seconds


@app.command()
def main(quick: Quick = False, json_file: JsonFile = None) -> None:
    """Compute the units with every engine and print the overhead."""
    count, rounds = (4, 1) if quick else (8, 3)
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    print(f"engines: {count} units of {SECONDS:.0f} s; {describe_machine()}")
    engines = [name for name in ENGINES if not name.startswith("ray") or find_spec("ray")]
    if len(engines) < len(ENGINES):
        print("engines: ray is not installed and skipped; run: uv pip install ray")
    seconds = measure(count, rounds, engines)
    rows: list[list[str | float]] = [["", "wall s", "ideal s", "overhead s", "per unit s"]]
    figures: Figures = {"units": count, "rounds": rounds, "engines": {}}
    for name, values in seconds.items():
        wall, ideal = statistics.median(values), count * SECONDS / ENGINES[name][0]
        rows.append([name, wall, ideal, wall - ideal, (wall - ideal) / count])
        figures["engines"][name] = {"wall_s": wall, "units_s": ideal, "overhead_s": wall - ideal}
    show(f"overhead of the engines, median of {rounds}", rows)
    write_figures(json_file, figures)


if __name__ == "__main__":
    app()
