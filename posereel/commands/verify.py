"""Check every output for damage; repair it with --repair.

Reads: dvc.lock, the ``.dvc`` files below data/, all outputs, DVC's cache, the units in scratch.
Writes: nothing; with ``--repair`` the damaged files, with the content that dvc.lock records.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from pipeline.core.dvc_files import LockedStage, read_added, read_lock
from pipeline.core.units.progress import progress
from pipeline.core.units.scratch import find_scratch
from pipeline.maintenance.dag import read_dag
from pipeline.maintenance.repair import in_order, repair_stage
from pipeline.maintenance.verify import Hashes, OutReport, check_stage


def main(
    out: Annotated[
        Path | None, typer.Argument(help="An output, or a folder of outputs; by default all.")
    ] = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Delete and restore damaged files.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Hash OUT, or all outputs, and list the files that differ from their records."""
    scratch = find_scratch(Path())
    locked = read_lock(scratch.project)
    stages = _chosen(in_order([*read_added(scratch.project), *locked]), out)
    if repair:
        scratch.check_idle()
    hashes, reports, repaired = Hashes(), list[OutReport](), dict[str, str]()
    failure = ""
    with progress("verify", len(stages), "stages") as advance:
        for stage in stages:
            found = check_stage(scratch, stage, hashes)
            # Later stages are computed from this one, so stop at the first that stays damaged.
            if repair and not failure and _damaged(found):
                try:
                    repaired[stage.name] = repair_stage(scratch, stage, found)
                    found = check_stage(scratch, stage, Hashes())
                except ValueError as error:
                    failure = str(error)
            reports += found
            advance()
    _print(reports, repaired, as_json=as_json)
    if failure:
        raise ValueError(failure)
    if out is None:
        _check_record(scratch.project, locked)
    if bad := _damaged(reports):
        raise ValueError(
            f"{len(bad)} of {len(reports)} outputs are damaged (above); "
            "run: posereel verify --repair"
        )


def _check_record(project: Path, locked: Sequence[LockedStage]) -> None:
    """Check that dvc.lock has every stage whose outputs exist.

    Raises:
        ValueError: If a stage of dvc.yaml is missing, as in a truncated file.
    """
    dag = read_dag(project)
    names = {stage.name for stage in locked}
    absent = [stage for stage in dag if stage.name not in names]
    made = [s.name for s in absent if any((project / path).exists() for path in s.outs)]
    if made:
        raise ValueError(
            f"dvc.lock: expected the {len(dag)} stages of dvc.yaml, got {len(dag) - len(absent)}; "
            f"the outputs of {len(made)} others exist and were not checked, for example {made[0]}; "
            "restore dvc.lock (git restore dvc.lock) or run: dvc repro"
        )
    if absent:
        typer.echo(f"{len(absent)} of {len(dag)} stages of dvc.yaml have not run; run: dvc repro")


def _chosen(stages: Sequence[LockedStage], out: Path | None) -> Sequence[LockedStage]:
    if not stages:
        raise ValueError("dvc.lock: expected the outputs of a run, found none; run: dvc repro")
    if out is None:
        return stages
    wanted = out.as_posix().rstrip("/")
    chosen = [
        stage
        for stage in stages
        if any(f"{path}/".startswith(f"{wanted}/") for path in (*stage.outs, stage.name))
        or any(f"{wanted}/".startswith(f"{path}/") for path in stage.outs)
    ]
    if not chosen:
        known = sorted({path.rpartition("/")[0] for stage in stages for path in stage.outs})
        raise ValueError(f"{out}: expected an output of dvc.lock, or a folder of outputs: {known}")
    return chosen


def _damaged(reports: Sequence[OutReport]) -> list[OutReport]:
    return [report for report in reports if report.state == "damaged"]


def _print(reports: Sequence[OutReport], repaired: dict[str, str], *, as_json: bool) -> None:
    if as_json:
        outs = [asdict(report) | {"repaired": repaired.get(report.stage)} for report in reports]
        typer.echo(json.dumps({"outs": outs, "damaged": len(_damaged(reports))}, indent=1))
        return
    for report in reports:
        for fault in report.faults:
            unit = f"unit {fault.unit!r}: " if fault.unit else ""
            typer.echo(f"{report.stage}: {unit}{fault.file}: {fault.what}")
        if report.state in ("absent", "not committed"):
            typer.echo(f"{report.stage}: {report.out}: {report.state}; run: dvc repro")
    for stage, source in repaired.items():
        typer.echo(f"{stage}: repaired: {source} again, with the content of dvc.lock")
    files, size = sum(r.files for r in reports), sum(r.bytes for r in reports)
    intact = sum(report.state == "intact" for report in reports)
    typer.echo(
        f"verify: {intact} of {len(reports)} outputs are intact "
        f"({files} files, {size / 1e6:.1f} MB)"
    )
