"""Training in one process, or in several that torchrun starts. This module imports no torch."""

import os
import sys
from typing import NoReturn

from pipeline.core.publishing.build import BuildSummary, build, missing_units
from pipeline.core.units.parent import DvcParent
from pipeline.core.units.plan import Plan
from pipeline.core.units.receipts import FILES
from pipeline.core.units.scratch import find_scratch
from pipeline.core.units.threads import limit_threads
from pipeline.training.training_run import MakeTrainingTask, process_count


def build_trained(plan: Plan, processes: int, module: str) -> BuildSummary | None:
    """Build a plan of training runs.

    If a run is missing and ``processes`` is above 1, torchrun replaces this process and starts the
    same command in several. The first process builds the plan; the others compute the same units
    with it. A plan without training is built by one process.

    Args:
        plan: The plan of a stage that trains.
        processes: Processes on this machine, ``train.processes``.
        module: The stage's module, such as ``stages.train``.

    Returns:
        Summary of the build; ``None`` in processes that do not publish.
    """
    trains = isinstance(plan.make_task, MakeTrainingTask)
    if process_count() == 1 and processes > 1 and trains and missing_units(plan):
        _exec_torchrun(processes, module)
    if os.environ.get("RANK", "0") == "0":
        return build(plan)
    if trains:
        _train_as_worker(plan)
    return None


def _train_as_worker(plan: Plan) -> None:
    # All processes find the same missing units, because each unit needs all processes.
    DvcParent()
    scratch = find_scratch(plan.out)
    missing = missing_units(plan)
    if not missing:
        return
    limit_threads(plan.run.threads)
    task = plan.make_task()
    limit_threads(plan.run.threads)
    for unit in missing:
        task(unit.name, scratch.unit_folder(plan.stage, unit.key) / FILES)


def _exec_torchrun(processes: int, module: str) -> NoReturn:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += [f"--nproc-per-node={processes}", "-m", module, *sys.argv[1:]]
    # execv, not a child process: waiting for or killing this process affects torchrun itself.
    os.execv(sys.executable, command)  # noqa: S606
