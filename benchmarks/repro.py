"""Where the time of a newcomer's `dvc repro` goes.

A clone of HEAD with an empty cache runs the DAG, then runs it again with nothing to do, then runs
`dvc status`. The table divides the first run by stage: imports, units, other work of the stages,
and DVC. Memory is the sum over all processes, shared pages counted once (PSS), sampled once a
second. The dvc.lock of the run is compared with the one in git, which was written by another clone.

    python -m benchmarks.repro [--quick] [--json FILE]
"""

import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from functools import partial
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
from benchmarks.process_watch import watch_dvc
from benchmarks.stage_times import StageTimes, time_stages, total
from pipeline.core.units.entry_log import read_entries
from pipeline.core.units.scratch import find_scratch

ROOT = Path(__file__).resolve().parents[1]
QUICK_TARGET = "index"
CODE = ("models", "pipeline", "posereel", "stages")
IMPORT_ROUNDS = 2

app = typer.Typer(add_completion=False)


@app.command()
def main(quick: Quick = False, json_file: JsonFile = None) -> None:
    """Run the DAG in a fresh clone and print its time by stage, memory and bytes.

    Quick: the first two stages only.
    """
    print(f"repro: {describe_machine()}")
    targets = [QUICK_TARGET] if quick else []
    with TemporaryDirectory(dir=ROOT.parent) as folder:
        figures, rows = measure(make_clone(Path(folder) / "clone"), targets)
    show_stages(rows)
    for name, value in figures.items():
        print(f"repro: {name}: {value}")
    write_figures(json_file, figures | {"stages": [asdict(row) for row in rows]})


def make_clone(folder: Path) -> Path:
    """Clone HEAD and compile the code, as `make setup` does."""
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    subprocess.run([sys.executable, "-m", "compileall", "-q", *CODE], cwd=folder, check=True)
    return folder


def measure(clone: Path, targets: Sequence[str]) -> tuple[Figures, list[StageTimes]]:
    """Run `dvc repro` twice and `dvc status` once.

    Args:
        clone: A clone with an empty cache.
        targets: Targets of `dvc repro`; empty for all stages.

    Returns:
        The figures of the commands, and the times of the first run by stage.
    """
    first = watch_dvc(["repro", *targets], clone)
    second = watch_dvc(["repro", *targets], clone)
    status = watch_dvc(["status", *targets], clone)
    scratch = find_scratch(clone)
    imports = import_seconds({run.address.partition("@")[0] for run in first.runs}, clone)
    rows = time_stages(first, read_entries(scratch.timings), imports)
    lock, in_git = clone / "dvc.lock", ROOT / "dvc.lock"
    figures: Figures = {
        "first_seconds": round(first.seconds, 1),
        "second_seconds": round(second.seconds, 2),
        "status_seconds": round(status.seconds, 2),
        "stage_processes": len(first.runs),
        "peak_gib": round(first.peak / 2**30, 2),
        "cache_mb": round(size_of(scratch.cache) / 1e6, 1),
        "dvc_lock_lines": len(lock.read_bytes().splitlines()),
        "dvc_lock_equals_that_in_git": (
            in_git.is_file() and lock.read_bytes() == in_git.read_bytes()
        ),
    }
    return figures, rows


def import_seconds(stages: Iterable[str], clone: Path) -> dict[str, float]:
    """Return the seconds for starting Python and importing the module of each stage."""
    return {
        stage: min(
            cost_of(partial(import_module, f"stages.{stage}", clone)).wall
            for _ in range(IMPORT_ROUNDS)
        )
        for stage in sorted(stages)
    }


def import_module(name: str, clone: Path) -> None:
    """Import a module in a new process."""
    subprocess.run([sys.executable, "-c", f"import {name}"], cwd=clone, check=True)


def size_of(folder: Path) -> int:
    """Return the bytes of all files below a folder; hard links of one file count once."""
    files = (Path(root, name) for root, _, names in os.walk(folder) for name in names)
    sizes = {(status.st_dev, status.st_ino): status.st_size for status in map(os.lstat, files)}
    return sum(sizes.values())


def show_stages(rows: Sequence[StageTimes]) -> None:
    """Print the times by stage; the last row is their sum, the duration of the command."""
    header = ("", "runs", "wall", "imports", "before units", "units", "other", "DVC")
    cells = []
    for row in [*rows, total(rows)]:
        parts = row.imports, row.before, row.units, row.other, row.dvc
        seconds = (f"{value:.1f}" for value in (sum(parts), *parts))
        cells.append((row.stage, str(row.runs), *seconds))
    show("first `dvc repro` by stage, seconds", [header, *cells])


if __name__ == "__main__":
    app()
