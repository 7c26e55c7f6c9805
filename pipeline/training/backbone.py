"""The plan of the pose backbone: fine-tuned on train crops, with folds, or given weights."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.core.caches.clip_table import clips_file, read_clips
from pipeline.core.networks.backbones import FULL_WEIGHTS, fold_weights, write_description
from pipeline.core.params import read_section
from pipeline.core.schedule import Training
from pipeline.core.splits import assign_folds
from pipeline.core.units.key import (
    KeyParts,
    Unit,
    make_unit,
    modules_digest,
    stage_pins,
    weights_digest,
)
from pipeline.core.units.options import MakeTask
from pipeline.core.units.plan import Plan
from pipeline.core.units.run_time import Train
from pipeline.training.target_params import Target
from pipeline.training.training_run import MakeTrainingTask, TrainingRun, training_options

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class BackboneRun:
    """A backbone and the settings of its fine-tuning."""

    stage: str
    """Name of the stage and of its section in params.yaml."""
    schedule: Training
    """With epochs and steps 0 the weights are copied unchanged."""
    params: Mapping[str, object]
    """Params that change the result."""
    variant: str
    """Variant of the network."""
    weights: Path
    """Initial weights."""
    folds: int
    crop_size: tuple[int, int]
    """Height and width of the crops, pixels."""
    build: Callable[[Mapping[str, "Tensor"], str], "nn.Module"]
    """Builds network and loss from weights and their name; the weights must fit exactly."""

    @property
    def modules(self) -> list[str]:
        """Modules whose code the keys digest."""
        return [f"stages.{self.stage}"]


def plan_backbone(run: BackboneRun, data: Path, params: Path) -> Plan:
    """Return the plan of data/backbones.

    Args:
        run: The backbone and the settings of its fine-tuning.
        data: Folder of all outs.
        params: The params file, for the sections ``train`` and ``target``.

    Raises:
        ValueError: If the params do not fit together.
    """
    settings = read_section(params, "train", Train)
    if not (run.schedule.epochs or run.schedule.steps):
        return _plan(run, data, [_given_unit(run)], partial(GivenWeights, run), {}, settings)
    videos = set(read_clips(clips_file(data, "hrnet", "train"))["video"])
    folds = assign_folds(videos, run.folds) if run.folds > 1 else {}
    target = read_section(params, "target", Target)
    names = {None: FULL_WEIGHTS} | {fold: fold_weights(fold) for fold in set(folds.values())}
    runs = [
        _training_run(
            run, data, name, {v for v in videos if folds.get(v, -1) != fold}, settings, target
        )
        for fold, name in names.items()
    ]
    return _plan(run, data, [one.unit() for one in runs], MakeTrainingTask(runs), folds, settings)


def _plan(
    run: BackboneRun,
    data: Path,
    units: list[Unit],
    make_task: MakeTask,
    folds: Mapping[str, int],
    settings: Train,
) -> Plan:
    return Plan(
        stage=run.stage,
        modules=run.modules,
        out=data / "backbones",
        listing=data / "units" / run.stage / "backbones.json",
        units=units,
        make_task=make_task,
        run=training_options(settings),
        finish=partial(write_description, variant=run.variant, folds=folds),
    )


def _training_run(
    run: BackboneRun,
    data: Path,
    weights_file: str,
    videos: set[str],
    settings: Train,
    target: Target,
) -> TrainingRun:
    return TrainingRun(
        stage=run.stage,
        modules=run.modules,
        name=weights_file.removesuffix(".safetensors"),
        section=run.stage,
        schedule=run.schedule,
        params=run.params,
        data=data,
        crops="hrnet",
        crop_size=run.crop_size,
        caches={"crops": data / "crops" / "hrnet" / "train"},
        frames=1,
        build=partial(_build, run),
        initial_weights={"start": weights_digest(run.weights)},
        is_trained_on=videos.__contains__,
        weights_file=weights_file,
        history_file=None,
        # `train.holdout` applies to heads only: a backbone keeps the weights of its last step.
        settings=settings.model_copy(update={"holdout": 0.0}),
        target=target,
    )


def _build(run: BackboneRun, **_shapes: object) -> "nn.Module":
    from pipeline.core.networks.weights import read_weights  # noqa: PLC0415  imports torch

    return run.build(read_weights(run.weights), str(run.weights))


def _given_unit(run: BackboneRun) -> Unit:
    if run.folds > 1:
        raise ValueError(
            f"{run.stage}.folds: expected 1 where epochs is 0, got {run.folds}: weights that are "
            "not trained here are the same for every video"
        )
    parts = KeyParts(
        stage=run.stage,
        params={"variant": run.variant},
        modules=modules_digest(run.modules),
        pins=stage_pins(run.modules),
        weights={"given": weights_digest(run.weights)},
        device="cpu",
        dtype="float32",
        batch=1,
        clips="",
        frames={},
        inputs={},
    )
    return make_unit("given", parts, run.weights.stat().st_size, place="")


class GivenWeights:
    """Copies the given weights, after checking that they fit the network.

    Args:
        run: The backbone.
    """

    def __init__(self, run: BackboneRun) -> None:
        self._run = run

    def __call__(self, name: str, folder: Path) -> None:  # noqa: ARG002  as in Task
        """Copy the weights to ``folder``.

        Raises:
            ValueError: If they do not fit, or rows of their head were re-initialized on import.
        """
        from pipeline.core.networks.weights import (  # noqa: PLC0415  imports torch
            REINITIALIZED_ROWS,
            read_metadata,
            read_weights,
        )

        run = self._run
        if rows := read_metadata(run.weights).get(REINITIALIZED_ROWS):
            raise ValueError(
                f"{run.weights}: expected a trained head, but its rows of {rows} were "
                f"re-initialized on import; set {run.stage}.epochs above 0"
            )
        run.build(read_weights(run.weights), str(run.weights))
        shutil.copyfile(run.weights, folder / FULL_WEIGHTS)
