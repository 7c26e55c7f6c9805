"""Show progress, failures, disk use and times by stage.

Reads: dvc.yaml, dvc.lock, data/units, scratch and the state of git, also while a stage runs.
Writes: nothing; with ``--page`` data/report/timings.html, which DVC does not track.
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from pipeline.core.atomic_file import write_file
from pipeline.core.units.scratch import Scratch, find_scratch
from pipeline.maintenance.dag import read_dag
from pipeline.maintenance.git_state import advise
from pipeline.maintenance.status import Disk, StageStatus, disk_use, open_runs, stage_status
from pipeline.report.timings import StageTiming, read_timings


def main(
    page: Annotated[bool, typer.Option("--page", help="Write data/report/timings.html.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Print what is done, open and failed, and what a killed experiment left behind."""
    scratch = find_scratch(Path())
    stages = stage_status(scratch, read_dag(scratch.project))
    free = shutil.disk_usage(scratch.project).free
    disk = disk_use(scratch, sum(stage.bytes for stage in stages), free)
    timings = read_timings(scratch.timings)
    if page:
        _write_page(scratch.project / "data/report/timings.html", timings)
    if as_json:
        content = {
            "stages": [asdict(stage) for stage in stages],
            "open_runs": [asdict(run) for run in open_runs(scratch)],
            "running": scratch.held_locks(),
            "timings": [asdict(timing) for timing in timings],
            "disk": asdict(disk),
            "git": [asdict(advice) for advice in advise(scratch.project)],
        }
        typer.echo(json.dumps(content, indent=1))
        return
    _print_stages(stages)
    _print_scratch(scratch, timings, disk)
    for advice in advise(scratch.project):
        typer.echo(f"git: {advice.what}{'; run:' if advice.commands else ''}")
        for command in advice.commands:
            typer.echo(f"    {command}")


def _write_page(path: Path, timings: Sequence[StageTiming]) -> None:
    # Imported here, because the command needs it only with --page.
    from pipeline.report.page import render_page
    from pipeline.report.sections import timing_section

    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, render_page("timings", "", [timing_section(timings)]).encode())


def _print_stages(stages: Sequence[StageStatus]) -> None:
    width = max(len(stage.name) for stage in stages)
    typer.echo(f"{'stage':<{width}}  state   {'units':>11}  {'MB':>9}")
    for stage in stages:
        units = "-" if stage.total is None else f"{stage.done}/{stage.total}"
        size = stage.bytes / 1e6
        typer.echo(f"{stage.name:<{width}}  {stage.state:<6}  {units:>11}  {size:>9.1f}")
        if stage.error:
            typer.echo(f"    last error: {stage.error}")
    counts = {state: sum(s.state == state for s in stages) for state in ("done", "open", "failed")}
    typer.echo(", ".join(f"{count} {state}" for state, count in counts.items()))


def _print_scratch(scratch: Scratch, timings: Sequence[StageTiming], disk: Disk) -> None:
    if held := scratch.held_locks():
        typer.echo(f"running: {len(held)} locks are held, for example {held[0]}")
    for run in open_runs(scratch):
        typer.echo(
            f"{run.stage}: a run was interrupted after step {run.steps}; dvc repro resumes it"
        )
    for one in timings:
        rate = f"{one.seconds / one.units:.2f} s per unit, longest {one.longest:.2f} s"
        typer.echo(
            f"{one.stage}: {one.units} units computed here, {rate}, {one.bytes / 1e6:.1f} MB"
        )
    typer.echo(
        f"disk: outputs {disk.outs / 1e9:.2f} GB, DVC's cache {disk.cache / 1e9:.2f} GB (the same "
        f"inodes), scratch only {disk.scratch / 1e9:.2f} GB, free {disk.free / 1e9:.2f} GB"
    )
