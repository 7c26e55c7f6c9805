"""Train networks in this process, from caches to the files of the result."""

import atexit
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from pipeline.core.caches.clip_table import ClipTable
from pipeline.core.caches.reader import Caches
from pipeline.core.grid import grid_size
from pipeline.core.networks.weights import read_weights, write_weights
from pipeline.training.dataset import (
    BatchSource,
    ClipFeed,
    MappedSource,
    ResidentSource,
    TargetSpec,
)
from pipeline.training.declarations import Batch, HasStatistics
from pipeline.training.history import History
from pipeline.training.loop import LoopConfig, train
from pipeline.training.processes import join_process_group
from pipeline.training.run_folder import BEST
from pipeline.training.training_run import TrainingRun

_STATISTICS_CLIPS = 4096
"""Clips that statistics of the train caches are taken from at most; a large data set has more."""


class TrainingTask:
    """Trains networks, one per unit, in the process group of torchrun if there is one.

    A killed run continues at its last checkpoint, which is next to the files of the unit, and ends
    with the same bytes.

    Args:
        runs: The runs.
    """

    def __init__(self, runs: Sequence[TrainingRun]) -> None:
        self._runs = {run.name: run for run in runs}
        stack = ExitStack()
        atexit.register(stack.close)
        self._context = stack.enter_context(join_process_group(runs[0].settings.device))

    def __call__(self, name: str, folder: Path) -> None:
        """Train the network of a unit; the first process writes weights and history.

        Args:
            name: Name of the unit.
            folder: Folder for the result. Checkpoints are in its parent.

        Raises:
            ValueError: If params and caches do not fit together, there is no clip, or memory is
                short.
        """
        run, work = self._runs[name], folder.parent
        network, history = self._train(run, work)
        if self._context.rank:
            return
        write_weights(folder / run.weights_file, _float32(_head(network)))
        if run.settings.holdout:
            network.load_state_dict(read_weights(work / BEST))
            write_weights(folder / BEST, _float32(_head(network)))
        if run.history_file is not None:
            history.write(folder / run.history_file)

    def _train(self, run: TrainingRun, work: Path) -> tuple[nn.Module, History]:
        caches = Caches(run.caches, run.frames)
        clips, held_out = run.split_clips()
        # First, because its error about missing clips is clearer than that of `row_shape`.
        feed = self._feed(run, caches, clips, run.settings.resident)
        torch.manual_seed(run.schedule.seed)
        objective = run.build(shapes={kind: caches.row_shape(kind) for kind in run.caches})
        objective.to(self._context.device)
        head = _head(objective)
        if isinstance(head, HasStatistics):
            head.fit_statistics(feed.in_table_order(_STATISTICS_CLIPS))
        config = LoopConfig(
            training=run.schedule,
            section=run.section,
            folder=work,
            checkpoint_every=run.settings.checkpoint_every,
            context=self._context,
            exported_module=_head,
            held_out=self._held_out_loss(run, caches, held_out) if len(held_out) else None,
        )
        return objective, train(objective, _terms, feed, config)

    def _feed(self, run: TrainingRun, caches: Caches, clips: ClipTable, resident: str) -> ClipFeed:
        target_spec = TargetSpec(
            run.target, grid_size(run.crop_size), run.target.sigma.of(run.crops)
        )
        device = self._context.device
        on_gpu = resident == "gpu" and device.type == "cuda"
        source: BatchSource = (ResidentSource if on_gpu else MappedSource)(clips, caches, device)
        schedule = run.schedule
        return ClipFeed(
            clips,
            source,
            target_spec,
            batch=schedule.batch,
            seed=schedule.seed,
            where=run.clips_file,
        )

    def _held_out_loss(
        self, run: TrainingRun, caches: Caches, clips: ClipTable
    ) -> Callable[[nn.Module], float]:
        feed = self._feed(run, caches, clips, "mmap")

        def loss(objective: nn.Module) -> float:
            total = 0.0
            for batch in feed.in_table_order():
                total += float(_terms(objective, batch)["heatmap"]) * len(batch["target"])
            return total / len(clips)

        return loss


def _terms(objective: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
    terms: Mapping[str, Tensor] = objective(batch)
    return terms


def _head(objective: nn.Module) -> nn.Module:
    return cast("nn.Module", objective.head)


def _float32(network: nn.Module) -> dict[str, Tensor]:
    return {
        name: tensor.float() if tensor.is_floating_point() else tensor
        for name, tensor in network.state_dict().items()
    }
