"""Giving units new keys after an edit of the code that changed none of their bytes."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.publishing.restore import restore_units
from pipeline.units.compute import Job
from pipeline.units.engines import run_jobs
from pipeline.units.key import Unit
from pipeline.units.plan import Plan
from pipeline.units.progress import progress
from pipeline.units.receipts import FILES, check, write_receipt
from pipeline.units.scratch import Scratch


@dataclass(frozen=True, slots=True)
class Renamed:
    """A unit that is known under an old key and wanted under a new one."""

    plan: Plan
    unit: Unit
    old: Unit
    digest: str
    """Content digest of the unit as it was published."""


def sample_of(units: Sequence[Renamed], count: int) -> list[Renamed]:
    """Return some units, always the same ones, in an order that has nothing to do with names."""
    order = sorted(units, key=lambda one: hashlib.sha256(one.unit.key.encode()).digest())
    return order[:count]


def compute_again(scratch: Scratch, units: Sequence[Renamed]) -> list[str]:
    """Compute units under their new keys and compare them with what was published.

    Args:
        scratch: The scratch store.
        units: The sample.

    Returns:
        Names of the units that came out with other bytes, or failed, with the reason.
    """
    different = []
    plans = {id(one.plan): one.plan for one in units}
    with progress("rekey", len(units), "sampled units") as advance:
        for identity, plan in plans.items():
            mine = [one for one in units if id(one.plan) == identity]
            jobs = [Job(scratch, plan.stage, one.unit.name, one.unit.key) for one in mine]
            failed = run_jobs(jobs, plan.make_task, plan.run, lambda _: advance())
            reasons = {outcome.job.key: str(outcome.failure) for outcome in failed}
            for one, job in zip(mine, jobs, strict=True):
                receipt = check(job.folder)
                where = f"{plan.out.as_posix()}: {one.unit.name}"
                if receipt is None:
                    different.append(f"{where}: {reasons.get(job.key, 'was not computed')}")
                elif receipt.digest != one.digest:
                    different.append(f"{where}: other bytes than before")
    return different


def relabel(scratch: Scratch, one: Renamed) -> bool:
    """Link a unit to its new key; tell whether the old one was there and is what was published."""
    stage = one.plan.stage
    if check(scratch.unit_folder(stage, one.unit.key)) is not None:
        return True
    old = scratch.unit_folder(stage, one.old.key)
    if check(old) is None:
        restore_units(scratch, one.plan, [one.old])
    receipt = check(old)
    if receipt is None or receipt.digest != one.digest:
        return False
    new = scratch.unit_folder(stage, one.unit.key)
    with scratch.lock(f"{stage}-{one.unit.key}"):
        for file in receipt.files:
            target = new / FILES / file
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            os.link(old / FILES / file, target)
        # The same inodes: what the receipt remembers of them holds here too.
        write_receipt(new, receipt)
    return True
