"""The one resume loop of every stage that makes units: find, compute what is missing, publish."""

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.publishing.last_build import note_begun
from pipeline.publishing.publish import Finish, publish, refuse_bad_names
from pipeline.publishing.rehearsal import Plan, offer
from pipeline.publishing.restore import drop_damaged_objects, restore_units
from pipeline.units.compute import Job, Outcome
from pipeline.units.engines import MakeTask, RunOptions, run_jobs
from pipeline.units.entry_log import append_entry
from pipeline.units.key import Unit
from pipeline.units.parent import DvcParent
from pipeline.units.progress import progress
from pipeline.units.receipts import Receipt, check, read_receipt
from pipeline.units.scratch import Scratch, find_scratch

_ROUNDS = 3
"""How often units that were changed behind our back are computed again before we give up."""


@dataclass(frozen=True, slots=True)
class BuildSummary:
    """What a build did."""

    computed: int
    reused: int
    """Units that scratch held, or that were linked from DVC's cache."""
    bytes: int
    """Size of all units of this build together."""
    published: bool


class FailedUnitsError(ValueError):
    """Some units could not be computed; nothing was published."""


def build(
    *,
    stage: str,
    out: Path,
    listing: Path,
    kind: str | None,
    units: Sequence[Unit],
    make_task: MakeTask,
    run: RunOptions,
    finish: Finish | None = None,
) -> BuildSummary:
    """Make the out of a stage from its units, computing only those that are not whole yet.

    Killed at any moment and called again, it goes on with the units that were not finished, and
    publishes the same bytes.

    Args:
        stage: Name of the stage.
        out: Folder that the stage publishes, replaced as a whole.
        listing: The stage's second out, ``data/units/<stage>/<name>.json``.
        kind: Kind of store that the out is; nothing if it is no store.
        units: All units of the out.
        make_task: Makes the task, in each process that computes; must be picklable.
        run: Engine, workers, threads, slice.
        finish: Adds the stage's own files (a table) to the out before it is published.

    Returns:
        What was done; with a slice in ``run`` nothing is published.

    Raises:
        FailedUnitsError: If a unit failed three times; the table of these goes to stderr.
        ValueError: If out, scratch and cache cannot share inodes, the disk is too full, names
            clash, or ``dvc`` was killed meanwhile.
    """
    offer(Plan(stage, out, listing, units, make_task, run))
    parent = DvcParent()
    refuse_bad_names(units)
    scratch = find_scratch(out)
    scratch.refuse_copies(out)
    note_begun(scratch, stage, out, units)
    mine = _slice(units, run.part)
    restore_units(scratch, stage, out, listing, _missing(mine, _gather(scratch, stage, mine)))
    computed: set[str] = set()
    rounds = 0
    while missing := _missing(mine, receipts := _gather(scratch, stage, mine)):
        if rounds == _ROUNDS:
            raise ValueError(
                f"{stage}: files of {missing[0].name!r} change while it is made; stop what writes "
                f"into {scratch.unit_folder(stage, missing[0].key)}"
            )
        rounds += 1
        _compute(scratch, stage, missing, make_task, run)
        computed |= {unit.name for unit in missing}
    if run.part is None:
        whole = {unit.name: (unit, receipts[unit.name]) for unit in mine}
        publish(scratch, stage, out, listing, kind, whole, finish, parent)
    size = sum(receipt.bytes for receipt in receipts.values())
    return BuildSummary(len(computed), len(mine) - len(computed), size, run.part is None)


def _slice(units: Sequence[Unit], part: tuple[int, int] | None) -> list[Unit]:
    ordered = sorted(units, key=lambda unit: unit.name)
    return ordered if part is None else ordered[part[0] :: part[1]]


def _gather(scratch: Scratch, stage: str, units: Sequence[Unit]) -> dict[str, Receipt]:
    """Return the receipts of the units that are whole."""
    found = ((unit.name, check(scratch.unit_folder(stage, unit.key))) for unit in units)
    return {name: receipt for name, receipt in found if receipt is not None}


def _missing(units: Sequence[Unit], receipts: Mapping[str, Receipt]) -> list[Unit]:
    return [unit for unit in units if unit.name not in receipts]


def _compute(
    scratch: Scratch, stage: str, units: Sequence[Unit], make_task: MakeTask, run: RunOptions
) -> None:
    scratch.refuse_shortage(sum(unit.estimate for unit in units))
    jobs = [Job(scratch, stage, unit.name, unit.key) for unit in units]
    # A receipt without its files: somebody wrote into them, perhaps in DVC's cache as well.
    damaged = [job for job in jobs if read_receipt(job.folder) is not None]
    with progress(stage, len(jobs), "units") as advance:
        failed = run_jobs(jobs, make_task, run, lambda _: advance())
    for job in damaged:
        drop_damaged_objects(scratch, job.folder)
    if failed:
        _give_up(scratch, stage, failed, len(jobs))


def _give_up(scratch: Scratch, stage: str, failed: Sequence[Outcome], total: int) -> None:
    width = max(len(outcome.job.name) for outcome in failed)
    rows = [f"{'unit':<{width}}  attempts  last failure"]
    for outcome in failed:
        count = len(outcome.job.attempts.failures)
        reason = " ".join(str(outcome.failure).split())
        rows.append(f"{outcome.job.name:<{width}}  {count:>8}  {reason}")
        entry = {"stage": stage, "unit": outcome.job.name, "key": outcome.job.key, "reason": reason}
        append_entry(scratch.failures, {**entry, "finished": round(time.time(), 3)})
        # The next run starts counting afresh: by then the cause may be gone.
        outcome.job.attempts.clear()
    sys.stderr.write("\n".join(rows) + "\n")
    raise FailedUnitsError(
        f"{stage}: {len(failed)} of {total} units failed (table above), nothing was published; "
        "the other units are kept: mend the cause and run again"
    )
