"""Give units new keys after an edit of the code that does not change their content."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.core.publishing.restore import restore_units
from pipeline.core.units.compute import Job
from pipeline.core.units.engines import run_jobs
from pipeline.core.units.key import Unit
from pipeline.core.units.plan import Plan
from pipeline.core.units.progress import progress
from pipeline.core.units.receipts import FILES, check, write_receipt
from pipeline.core.units.scratch import Scratch


@dataclass(frozen=True, slots=True)
class RenamedUnit:
    """A unit that is published under an old key and planned under a new key."""

    plan: Plan
    unit: Unit
    old: Unit
    digest: str
    """Content digest of the published unit."""


def sample_of(units: Sequence[RenamedUnit], count: int) -> list[RenamedUnit]:
    """Return a reproducible sample of units that does not depend on their names."""
    order = sorted(units, key=lambda one: hashlib.sha256(one.unit.key.encode()).digest())
    return order[:count]


def compute_again(scratch: Scratch, units: Sequence[RenamedUnit]) -> list[str]:
    """Compute units under their new keys and compare them with the published ones.

    Args:
        scratch: The scratch store.
        units: The sample.

    Returns:
        One line per unit that differs or failed, with the reason.
    """
    different = []
    plans = {id(one.plan): one.plan for one in units}
    with progress("rekey", len(units), "sampled units") as advance:
        for identity, plan in plans.items():
            of_plan = [one for one in units if id(one.plan) == identity]
            jobs = [Job(scratch, plan.stage, one.unit.name, one.unit.key) for one in of_plan]
            failed = run_jobs(jobs, plan.make_task, plan.run, lambda _: advance())
            reasons = {outcome.job.key: str(outcome.failure) for outcome in failed}
            for one, job in zip(of_plan, jobs, strict=True):
                receipt = check(job.folder)
                where = f"{plan.out.as_posix()}: {one.unit.name}"
                if receipt is None:
                    different.append(f"{where}: {reasons.get(job.key, 'not computed')}")
                elif receipt.digest != one.digest:
                    different.append(f"{where}: differs from the published unit")
    return different


def relabel(scratch: Scratch, one: RenamedUnit) -> bool:
    """Link a unit to its new key; return whether the published unit was found intact."""
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
        # The inodes are the same, so the receipt is valid here, too.
        write_receipt(new, receipt)
    return True
