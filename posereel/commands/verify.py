"""Check every output for damage; repair it with --repair.

Reads: dvc.lock, the ``.dvc`` files below data/, all outs, DVC's cache, the units in scratch.
Writes: nothing; with ``--repair`` whatever was damaged, with the bytes that dvc.lock names.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from pipeline.base.dvc_files import LockedStage, read_added, read_lock
from pipeline.maintenance.repair import heal, in_order
from pipeline.maintenance.verify import Hashes, OutReport, check_stage
from pipeline.units.progress import progress
from pipeline.units.scratch import find_scratch


def main(
    out: Annotated[Path | None, typer.Argument(help="An out, or a folder of outs; all.")] = None,
    repair: Annotated[bool, typer.Option("--repair", help="Drop what is damaged, heal.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Re-hash OUT, or every out, and say which files are not what they were when made."""
    scratch = find_scratch(Path())
    stages = _chosen(in_order([*read_added(scratch.project), *read_lock(scratch.project)]), out)
    if repair:
        scratch.refuse_running()
    hashes, reports, healed = Hashes(), list[OutReport](), dict[str, str]()
    failure = ""
    with progress("verify", len(stages), "stages") as advance:
        for stage in stages:
            found = check_stage(scratch, stage, hashes)
            # Later stages are healed from this one: not with anything that is still damaged.
            if repair and not failure and _damaged(found):
                try:
                    healed[stage.name] = heal(scratch, stage, found)
                    found = check_stage(scratch, stage, Hashes())
                except ValueError as error:
                    failure = str(error)
            reports += found
            advance()
    _print(reports, healed, as_json=as_json)
    if failure:
        raise ValueError(failure)
    if bad := _damaged(reports):
        raise ValueError(
            f"{len(bad)} of {len(reports)} outs are damaged (above); run: posereel verify --repair"
        )


def _chosen(stages: Sequence[LockedStage], out: Path | None) -> Sequence[LockedStage]:
    if not stages:
        raise ValueError("dvc.lock: expected the outs of a run, found none; run: dvc repro")
    if out is None:
        return stages
    asked = out.as_posix().rstrip("/")
    chosen = [
        stage
        for stage in stages
        if any(f"{path}/".startswith(f"{asked}/") for path in (*stage.outs, stage.name))
        or any(f"{asked}/".startswith(f"{path}/") for path in stage.outs)
    ]
    if not chosen:
        known = sorted({path.rpartition("/")[0] for stage in stages for path in stage.outs})
        raise ValueError(f"{out}: expected an out of dvc.lock, or a folder of outs: {known}")
    return chosen


def _damaged(reports: Sequence[OutReport]) -> list[OutReport]:
    return [report for report in reports if report.state == "damaged"]


def _print(reports: Sequence[OutReport], healed: dict[str, str], *, as_json: bool) -> None:
    if as_json:
        outs = [asdict(report) | {"healed": healed.get(report.stage)} for report in reports]
        typer.echo(json.dumps({"outs": outs, "damaged": len(_damaged(reports))}, indent=1))
        return
    for report in reports:
        for fault in report.faults:
            unit = f"unit {fault.unit!r}: " if fault.unit else ""
            typer.echo(f"{report.stage}: {unit}{fault.file}: {fault.what}")
        if report.state in ("absent", "not committed"):
            typer.echo(f"{report.stage}: {report.out}: {report.state}; run: dvc repro")
    for stage, how in healed.items():
        typer.echo(f"{stage}: healed: {how} again, with the bytes of dvc.lock")
    files, size = sum(r.files for r in reports), sum(r.bytes for r in reports)
    whole = sum(report.state == "whole" for report in reports)
    typer.echo(
        f"verify: {whole} of {len(reports)} outs are whole ({files} files, {size / 1e6:.1f} MB)"
    )
