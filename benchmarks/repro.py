"""The newcomer's `dvc repro`: wall time, memory, a second run, and whether two clones agree.

A clone of HEAD with an empty cache runs the DAG, then runs it again with nothing to do. Memory is
the sum over all processes of the run, shared pages counted once (PSS), sampled once a second. Its
dvc.lock is compared with the one in git, which another clone wrote.

    python benchmarks/repro.py [--quick] [--json FILE]
"""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

ROOT = Path(__file__).resolve().parents[1]
QUICK_TARGET = "index"

app = typer.Typer(add_completion=False)


@app.command()
def main(
    quick: Annotated[bool, typer.Option(help="Only the first two stages, for a check.")] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Where to write the figures.")
    ] = None,
) -> None:
    """Run the DAG twice in a fresh clone, print seconds, GiB and the comparison."""
    targets = [QUICK_TARGET] if quick else []
    with TemporaryDirectory(dir=ROOT.parent) as folder:
        clone = Path(folder) / "clone"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        first, peak = watch(["dvc", "repro", *targets], clone)
        second, _ = watch(["dvc", "repro", *targets], clone)
        same = (clone / "dvc.lock").read_bytes() == (ROOT / "dvc.lock").read_bytes()
    figures = {
        "cores": os.cpu_count(),
        "first_seconds": round(first, 1),
        "peak_gib": round(peak / 2**30, 2),
        "second_seconds": round(second, 2),
        "dvc_lock_equals_that_in_git": same,
    }
    for name, value in figures.items():
        print(f"repro: {name}: {value}")
    if json_file:
        json_file.write_text(json.dumps(figures, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def watch(command: list[str], folder: Path) -> tuple[float, int]:
    """Run a command and return its wall time in seconds and its peak memory in bytes.

    Raises:
        CalledProcessError: If the command fails; what it printed stands above.
    """
    start, peak = time.perf_counter(), 0
    with subprocess.Popen(command, cwd=folder) as process:
        while process.poll() is None:
            peak = max(peak, sum(map(memory_of, tree_of(process.pid))))
            try:
                process.wait(timeout=1)
            except subprocess.TimeoutExpired:
                continue
    wall = time.perf_counter() - start
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return wall, peak


def tree_of(process: int) -> Iterator[int]:
    """Yield a process and all that descend from it."""
    yield process
    for file in Path(f"/proc/{process}/task").glob("*/children"):
        for child in _read(file).split():
            yield from tree_of(int(child))


def memory_of(process: int) -> int:
    """Return the proportional set size of a process in bytes; 0 once it has ended."""
    for line in _read(Path(f"/proc/{process}/smaps_rollup")).splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError:  # the process has ended
        return ""


if __name__ == "__main__":
    app()
