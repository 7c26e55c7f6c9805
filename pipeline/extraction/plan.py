"""Plans of the stages that run a frozen network over crops.

A batch never contains clips of two units, so the bytes of a unit do not depend on other units or on
the number of processes. This module does not import torch, which takes seconds; workers do.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.core.store.reader import Store
from pipeline.core.units.key import (
    KeyParts,
    Unit,
    make_unit,
    modules_digest,
    stage_pins,
    weights_digest,
)
from pipeline.core.units.options import RunOptions
from pipeline.core.units.plan import Plan, no_task

if TYPE_CHECKING:
    from torch import Tensor, nn

    from pipeline.extraction.task import ExtractionTask

BuildNetwork = Callable[[Mapping[str, "Tensor"], str, tuple[int, int]], "nn.Module"]
"""Builds a network from weights, their name and (height, width) of the crops. The network maps
uint8 crops ``(B, T, H, W, 3)`` to float32 rows ``(B, *row shape)``. Must be picklable."""
RowShape = Callable[[tuple[int, ...]], tuple[int, ...]]
"""Returns the shape of a row for the shape of a clip's crops, ``(T, H, W, 3)``."""


@dataclass(frozen=True, slots=True)
class Extraction:
    """Settings of an extraction stage for one split; workers call it to make their task."""

    stage: str
    """Name of the stage and of the kind of store that it writes."""
    crops: Path
    """Crop store to read."""
    weights: Mapping[str, Path]
    """Weights file of every unit."""
    row_shapes: Mapping[str, tuple[int, ...]]
    """Shape of the rows of every unit."""
    build_network: BuildNetwork
    clips_per_pass: int
    """Clips per forward pass."""
    device: str
    """``cpu`` or ``cuda``."""

    def __call__(self) -> "ExtractionTask":
        """Return the task of a worker."""
        from pipeline.extraction.task import ExtractionTask  # noqa: PLC0415  imports torch

        return ExtractionTask(self)


def plan_extraction(
    *,
    stage: str,
    crops: Path,
    weights_of: Callable[[str], Path],
    build_network: BuildNetwork,
    row_shape: RowShape,
    batch: int,
    device: str,
) -> Extraction:
    """Return the settings of an extraction stage for all units of a crop store.

    Args:
        stage: Name of the stage.
        crops: The crop store.
        weights_of: Weights file of a video.
        build_network: Builds the network; must be picklable.
        row_shape: Returns the shape of a row for the shape of a clip's crops.
        batch: Network inputs (frames or pairs of frames) per forward pass, rounded down to whole
            clips, at least one.
        device: ``cpu`` or ``cuda``.
    """
    store = Store(crops, "crops")
    shapes = {name: row_shape(store.row_shape(name)) for name in store.digests}
    inputs = max((shape[0] for shape in shapes.values()), default=1)
    return Extraction(
        stage=stage,
        crops=crops,
        weights={name: weights_of(name.partition("/")[0]) for name in store.digests},
        row_shapes=shapes,
        build_network=build_network,
        clips_per_pass=max(1, batch // max(1, inputs)),
        device=device,
    )


def _plan_units(extraction: Extraction, params: Mapping[str, object], batch: int) -> list[Unit]:
    """Return the units of an extraction with their keys."""
    store = Store(extraction.crops, "crops")
    module = f"stages.{extraction.stage}"
    digests = {path: weights_digest(path) for path in set(extraction.weights.values())}
    modules, pins = modules_digest(module), stage_pins(module)
    return [
        make_unit(
            name,
            KeyParts(
                stage=extraction.stage,
                params=params,
                modules=modules,
                pins=pins,
                weights={"network": digests[extraction.weights[name]]},
                device=extraction.device,
                dtype="float32",
                batch=batch,
                clips="",  # the clip table determines the crops and nothing else
                frames={},
                inputs={"crops": digest},
            ),
            estimate=2 * store.rows(name) * int(np.prod(extraction.row_shapes[name])),
        )
        for name, digest in store.digests.items()
    ]


def plan_store(
    extraction: Extraction,
    params: Mapping[str, object],
    batch: int,
    *,
    split: str,
    data: Path,
    run: RunOptions,
) -> Plan:
    """Return the plan of an extraction stage.

    Args:
        extraction: Settings of the stage.
        params: ``Section.key_params`` of the stage's section.
        batch: Network inputs per forward pass.
        split: ``train``, ``val`` or ``val_gt``.
        data: Folder of all outputs.
        run: Engine, workers, threads and slice.
    """
    stage = extraction.stage
    return Plan(
        stage=stage,
        modules=[f"stages.{stage}"],
        out=data / stage / split,
        listing=data / "units" / stage / f"{split}.json",
        units=_plan_units(extraction, params, batch),
        make_task=extraction,
        run=run.on(extraction.device),
        kind=stage,
    )


def plan_empty_store(stage: str, *, split: str, data: Path, run: RunOptions) -> Plan:
    """Return the plan of a disabled extraction stage: a store without units."""
    return Plan(
        stage=stage,
        modules=[f"stages.{stage}"],
        out=data / stage / split,
        listing=data / "units" / stage / f"{split}.json",
        units=(),
        make_task=no_task,
        run=run,
        kind=stage,
    )
