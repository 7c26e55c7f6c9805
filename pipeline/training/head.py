"""The plan of data/runs/<system>: a head to train, given weights, or a system without parameters.

Planning imports no torch.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.core.params import read_section
from pipeline.core.store.reader import Store
from pipeline.core.system_params import NO_WEIGHTS, Schedule, SystemParams
from pipeline.core.units.key import (
    KeyParts,
    Unit,
    make_unit,
    modules_digest,
    stage_pins,
    weights_digest,
)
from pipeline.core.units.plan import Plan
from pipeline.core.units.run_time import Train
from pipeline.training.target_params import Target
from pipeline.training.training_run import (
    BuildObjective,
    MakeTrainingTask,
    TrainingRun,
    training_options,
)

if TYPE_CHECKING:
    from torch import Tensor

    from pipeline.core.units.options import MakeTask

STAGE = "train"
WEIGHTS_FILE = "weights.safetensors"
HISTORY = "history.csv"
NO_STEPS = "step,epoch,lr\n"
"""The history of a run without steps, as ``pipeline.training.history.History`` writes it."""
_BYTES = 1_000_000
"""Estimated size of the weights of a head."""

Shapes = Mapping[str, tuple[int, ...]]
CheckWeights = Callable[[Mapping[str, "Tensor"], str, Shapes], None]
"""Checks that weights fit the head. Arguments: weights, their name and the row shapes."""


@dataclass(frozen=True, slots=True)
class HeadRun:
    """A head and the settings of its training."""

    system: SystemParams
    classes: Mapping[str, object]
    """Names of the classes of network and loss, for the key."""
    modules: Sequence[str]
    """Modules whose code the key digests."""
    crop_size: tuple[int, int]
    """Height and width of the crops, pixels."""
    build: BuildObjective
    """Builds the head inside the module that computes its loss."""
    check_weights: CheckWeights

    def params(self) -> dict[str, object]:
        """Return the params that change the result."""
        return {
            "arguments": dict(self.system.arguments),
            "classes": dict(self.classes),
            "frames": self.system.frames,
        }


def plan_head(run: HeadRun, data: Path, params: Path) -> Plan:
    """Return the plan of the run of one system.

    Args:
        run: The head and the settings of its training.
        data: Folder of all outs.
        params: The params file, for the sections ``train`` and ``target``.

    Raises:
        ValueError: If the params do not fit together.
    """
    system, settings = run.system, read_section(params, "train", Train)
    make_task: MakeTask
    if system.weights is None:
        unit, make_task = _empty_unit(run), NothingToTrain
    elif system.weights != NO_WEIGHTS:
        source = data / "weights" / system.weights / f"{system.name}.safetensors"
        shapes = _row_shapes(run, data)
        unit, make_task = _given_unit(run, source, shapes), partial(GivenHead, run, source, shapes)
    else:
        training = _training_run(run, data, settings, read_section(params, "target", Target))
        unit, make_task = training.unit(), MakeTrainingTask([training])
    return Plan(
        stage=STAGE,
        modules=run.modules,
        out=data / "runs" / system.name,
        listing=data / "units" / STAGE / f"{system.name}.json",
        units=[unit],
        make_task=make_task,
        run=training_options(settings),
    )


def _training_run(run: HeadRun, data: Path, settings: Train, target: Target) -> TrainingRun:
    system, schedule = run.system, run.system.schedule
    if schedule is None or not (schedule.epochs or schedule.steps):
        raise ValueError(
            f"{system.section}: expected epochs or steps above 0, or the name of trained weights"
        )
    return TrainingRun(
        stage=STAGE,
        modules=run.modules,
        name=system.name,
        section=system.section,
        schedule=schedule,
        params=run.params() | {"schedule": _schedule_params(schedule)},
        data=data,
        crops=system.crops,
        crop_size=run.crop_size,
        caches={kind: data / kind / "train" for kind in system.caches},
        frames=system.frames,
        build=run.build,
        initial_weights={},
        is_trained_on=lambda _video: True,
        weights_file=WEIGHTS_FILE,
        history_file=HISTORY,
        settings=settings,
        target=target,
    )


def _schedule_params(schedule: Schedule) -> dict[str, object]:
    # The key contains the number of frames; delta decides it only for systems with several frames.
    return schedule.model_dump(mode="json", exclude={"delta"})


def _row_shapes(run: HeadRun, data: Path) -> dict[str, tuple[int, ...]]:
    """Return the row shape of every cache; no entries without train clips."""
    shapes = {}
    for kind in run.system.caches:
        store = Store(data / kind / "train", kind)
        if store.digests:
            shapes[kind] = store.row_shape(next(iter(store.digests)))
    return shapes


def _given_unit(run: HeadRun, source: Path, shapes: Shapes) -> Unit:
    params = run.params() | {
        "crop_size": list(run.crop_size),
        "row_shapes": {kind: list(shape) for kind, shape in shapes.items()},
    }
    parts = _parts(run, params, {"given": weights_digest(source)})
    return make_unit(run.system.name, parts, source.stat().st_size, place="")


def _empty_unit(run: HeadRun) -> Unit:
    return make_unit(run.system.name, _parts(run, run.params(), {}), 100, place="")


def _parts(run: HeadRun, params: dict[str, object], weights: Mapping[str, str]) -> KeyParts:
    return KeyParts(
        stage=STAGE,
        params=params,
        modules=modules_digest(run.modules),
        pins=stage_pins(run.modules),
        weights=weights,
        device="cpu",
        dtype="float32",
        batch=1,
        clips="",
        frames={},
        inputs={},
    )


class NothingToTrain:
    """Publishes the run of a system without parameters: an empty history."""

    def __call__(self, name: str, folder: Path) -> None:  # noqa: ARG002  as in Task
        """Write the history to ``folder``."""
        (folder / HISTORY).write_text(NO_STEPS, encoding="utf-8")


class GivenHead:
    """Publishes given weights in float32, after checking that they fit the head.

    Args:
        run: The head.
        source: The weights.
        shapes: Row shape of every cache. Without train clips it is empty: the size of the head is
            unknown, and only the stage predict checks the weights.
    """

    def __init__(self, run: HeadRun, source: Path, shapes: Shapes) -> None:
        self._run = run
        self._source = source
        self._shapes = shapes

    def __call__(self, name: str, folder: Path) -> None:  # noqa: ARG002  as in Task
        """Write the weights and an empty history to ``folder``.

        Raises:
            ValueError: If the weights do not fit.
        """
        from pipeline.core.networks.weights import (  # noqa: PLC0415  imports torch
            read_weights,
            write_weights,
        )

        tensors = read_weights(self._source)
        if self._shapes:
            self._run.check_weights(tensors, str(self._source), self._shapes)
        converted = {
            key: tensor.float() if tensor.is_floating_point() else tensor
            for key, tensor in tensors.items()
        }
        write_weights(folder / WEIGHTS_FILE, converted)
        (folder / HISTORY).write_text(NO_STEPS, encoding="utf-8")
