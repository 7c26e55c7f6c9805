"""The resume loop of every stage with units: find, compute what is missing, publish."""

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pipeline.core.publishing.last_build import note_build
from pipeline.core.publishing.publish import publish
from pipeline.core.publishing.restore import drop_damaged_objects, restore_units
from pipeline.core.units.compute import Job, Outcome
from pipeline.core.units.engines import run_jobs
from pipeline.core.units.entry_log import append_entry
from pipeline.core.units.key import Unit
from pipeline.core.units.parent import DvcParent
from pipeline.core.units.plan import Plan
from pipeline.core.units.progress import progress
from pipeline.core.units.receipts import Receipt, check, read_receipt
from pipeline.core.units.scratch import Scratch, find_scratch

_ROUNDS = 3
"""Rounds of computation, where another process changes units, before the build fails."""


@dataclass(frozen=True, slots=True)
class BuildSummary:
    """Result of a build."""

    plan: Plan
    computed: int
    reused: int
    """Units that were in scratch or DVC's cache."""
    bytes: int
    """Total size of the units."""
    published: bool

    def __str__(self) -> str:
        """The line that the stage ends with."""
        what = f"wrote {self.plan.out}" if self.published else "computed a slice, published nothing"
        return (
            f"{self.plan.stage}: {what}: {self.computed} units computed, {self.reused} reused, "
            f"{self.bytes / 1e6:.1f} MB"
        )


class FailedUnitsError(ValueError):
    """Some units could not be computed; nothing was published."""


def build(plan: Plan) -> BuildSummary:
    """Make the outs of a stage from its units, computing only those that are missing.

    A build that was killed continues with the unfinished units and publishes the same bytes.

    Args:
        plan: The units and outs of the stage.

    Returns:
        The result; a slice in ``plan.run`` is not published.

    Raises:
        FailedUnitsError: If a unit failed three times; a table of these units goes to stderr.
        ValueError: If out, scratch and cache cannot share inodes, the disk is too full, names
            clash, or ``dvc`` was killed meanwhile.
    """
    parent = DvcParent()
    _check_names(plan.units)
    scratch = find_scratch(plan.out)
    scratch.check_hardlinks(plan.out)
    with scratch.in_use():
        return _build(scratch, plan, parent)


def _build(scratch: Scratch, plan: Plan, parent: DvcParent) -> BuildSummary:
    note_build(scratch, plan)
    mine = _slice(plan.units, plan.run.part)
    missing_units(plan)
    computed: set[str] = set()
    rounds = 0
    while missing := _missing(mine, receipts := _gather(scratch, plan.stage, mine)):
        if rounds == _ROUNDS:
            raise ValueError(
                f"{plan.stage}: files of {missing[0].name!r} change while it is made; stop what "
                f"writes into {scratch.unit_folder(plan.stage, missing[0].key)}"
            )
        rounds += 1
        _compute(scratch, plan, missing)
        computed |= {unit.name for unit in missing}
    if plan.run.part is None:
        publish(scratch, plan, {unit.name: (unit, receipts[unit.name]) for unit in mine}, parent)
    size = sum(receipt.bytes for receipt in receipts.values())
    reused = len(mine) - len(computed)
    return BuildSummary(plan, len(computed), reused, size, plan.run.part is None)


def missing_units(plan: Plan) -> list[Unit]:
    """Return the units that must be computed, after those in DVC's cache were restored."""
    scratch = find_scratch(plan.out)
    mine = _slice(plan.units, plan.run.part)
    missing = _missing(mine, _gather(scratch, plan.stage, mine))
    restored = set(restore_units(scratch, plan, missing))
    return [unit for unit in missing if unit.name not in restored]


def _check_names(units: Sequence[Unit]) -> None:
    """Check that names are unique and inside the out."""
    seen: set[str] = set()
    for unit in units:
        parts = [*unit.name.split("/"), *(unit.place or ".").split("/")]
        bad = {"", ".."} & set(parts) or any("\0" in part for part in parts)
        if bad or "." in unit.name.split("/") or unit.name in seen:
            raise ValueError(f"unit {unit.name!r}: expected a unique, relative name; rename it")
        seen.add(unit.name)


def _slice(units: Sequence[Unit], part: tuple[int, int] | None) -> list[Unit]:
    ordered = sorted(units, key=lambda unit: unit.name)
    return ordered if part is None else ordered[part[0] :: part[1]]


def _gather(scratch: Scratch, stage: str, units: Sequence[Unit]) -> dict[str, Receipt]:
    """Return the receipts of the units that are complete."""
    found = ((unit.name, check(scratch.unit_folder(stage, unit.key))) for unit in units)
    return {name: receipt for name, receipt in found if receipt is not None}


def _missing(units: Sequence[Unit], receipts: Mapping[str, Receipt]) -> list[Unit]:
    return [unit for unit in units if unit.name not in receipts]


def _compute(scratch: Scratch, plan: Plan, units: Sequence[Unit]) -> None:
    _warn_of_other_device(scratch, plan.stage, units)
    scratch.check_free_space(sum(unit.estimate for unit in units))
    jobs = [Job(scratch, plan.stage, unit.name, unit.key) for unit in units]
    # A receipt that disagrees with its files: they were written into, perhaps in DVC's cache, too.
    damaged = [job for job in jobs if read_receipt(job.folder) is not None]
    if plan.run.engine == "direct":
        # The task reports its own progress.
        failed = run_jobs(jobs, plan.make_task, plan.run, lambda _: None)
    else:
        with progress(plan.stage, len(jobs), "units") as advance:
            failed = run_jobs(jobs, plan.make_task, plan.run, lambda _: advance())
    for job in damaged:
        drop_damaged_objects(scratch, job.folder)
    if failed:
        _report_failures(scratch, plan.stage, failed, len(jobs))


def _warn_of_other_device(scratch: Scratch, stage: str, units: Sequence[Unit]) -> None:
    """Print a line if missing units are finished under the key of the other device.

    They were computed on other machines, for example by slices on nodes with a GPU.
    """
    for device, other in (("cpu", "cuda"), ("cuda", "cpu")):
        keys = [
            replace(unit.parts, device=other).key
            for unit in units
            if unit.parts is not None and unit.parts.device == device
        ]
        found = sum(read_receipt(scratch.unit_folder(stage, key)) is not None for key in keys)
        if found:
            sys.stderr.write(
                f"{stage}: {found} of {len(units)} units to compute for {device} are finished for "
                f"{other}; to use them, set extract.device to {other}, which needs no GPU here\n"
            )


def _report_failures(scratch: Scratch, stage: str, failed: Sequence[Outcome], total: int) -> None:
    width = max(len(outcome.job.name) for outcome in failed)
    rows = [f"{'unit':<{width}}  attempts  last failure"]
    for outcome in failed:
        count = len(outcome.job.attempts.failures)
        reason = " ".join(str(outcome.failure).split())
        rows.append(f"{outcome.job.name:<{width}}  {count:>8}  {reason}")
        entry = {"stage": stage, "unit": outcome.job.name, "key": outcome.job.key, "reason": reason}
        append_entry(scratch.failures, {**entry, "finished": round(time.time(), 3)})
        # The next run counts from 0, because the cause may be fixed by then.
        outcome.job.attempts.clear()
    sys.stderr.write("\n".join(rows) + "\n")
    raise FailedUnitsError(
        f"{stage}: {len(failed)} of {total} units failed (table above), nothing was published; "
        "the other units are kept: fix the cause and run again"
    )
