"""The newcomer's `dvc repro`: wall time, memory, a second run, and whether two clones agree.

A clone of HEAD with an empty cache runs the DAG, then runs it again with nothing to do. Memory is
the sum over all processes of the run, shared pages counted once (PSS), sampled once a second. Its
dvc.lock is compared with the one in git, which another clone wrote.

    python benchmarks/repro.py [--quick] [--json FILE]
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import typer

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.measurement import Figures, JsonFile, Quick, describe_machine, write_figures

ROOT = Path(__file__).resolve().parents[1]
QUICK_TARGET = "index"
CODE = ("models", "pipeline", "stages")

app = typer.Typer(add_completion=False)


@app.command()
def main(quick: Quick = False, json_file: JsonFile = None) -> None:
    """Run the DAG twice in a fresh clone, print seconds, GiB and the comparison.

    Quick: only the first two stages.
    """
    targets = [QUICK_TARGET] if quick else []
    with TemporaryDirectory(dir=ROOT.parent) as folder:
        clone = Path(folder) / "clone"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        # As `make setup` leaves the code.
        subprocess.run([sys.executable, "-m", "compileall", "-q", *CODE], cwd=clone, check=True)
        first, peak = watch(["dvc", "repro", *targets], clone)
        second, _ = watch(["dvc", "repro", *targets], clone)
        same = (clone / "dvc.lock").read_bytes() == (ROOT / "dvc.lock").read_bytes()
    figures: Figures = {
        "first_seconds": round(first, 1),
        "peak_gib": round(peak / 2**30, 2),
        "second_seconds": round(second, 2),
        "dvc_lock_equals_that_in_git": same,
    }
    print(f"repro: {describe_machine()}")
    for name, value in figures.items():
        print(f"repro: {name}: {value}")
    write_figures(json_file, figures)


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
