"""Batches of cached tensors with targets; seed, epoch and step determine the order.

Epoch e reads variant e mod V of every clip. Batches are always full: the remaining clips of an
epoch are skipped, and clips are repeated if a batch needs more than there are. With several
processes, each takes every n-th clip of the batch.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.core.caches.clip_table import ClipTable
from pipeline.core.caches.reader import Caches
from pipeline.core.prefetch import prefetch
from pipeline.training.processes import DistributedContext
from pipeline.training.target_params import Target
from pipeline.training.targets import joint_weights, make_targets

_RING = 3
"""Sets of buffers: one in use, two that the prefetch thread fills."""

Batch = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class TargetSpec:
    """Params of the target heatmaps of a clip."""

    target: Target
    heatmap_size: tuple[int, int]
    """Rows and columns of the grid."""
    sigma: float
    """Standard deviation of the Gaussians, cells."""


class BatchRequest(NamedTuple):
    """The clips of one batch."""

    variant: int
    clips: NDArray[np.intp]
    """Positions in the clip table, in the batch's order."""
    check: bool
    """Whether to compare checksums: when a variant is read for the first time."""


MakeTargets = Callable[[BatchRequest, torch.device], Batch]
"""Returns targets and joint weights of the clips of a request."""


class BatchSource(Protocol):
    """Source of cached tensors: the disk or the memory of the device."""

    def batches(
        self, requests: Iterator[BatchRequest], rows: int, targets: MakeTargets
    ) -> Iterator[Batch]:
        """Yield cached tensors, float32 on the device, and targets of every request.

        A batch is valid until the next one is requested.
        """


class ClipFeed:
    """The batches of a training run.

    Args:
        table: The clips.
        source: Their cached tensors.
        target_spec: Params of their target heatmaps.
        batch: Clips per step, summed over all processes.
        seed: Seed of the order.
        where: File of the clips, for messages.

    Raises:
        ValueError: If there is no clip.
    """

    def __init__(
        self,
        table: ClipTable,
        source: BatchSource,
        target_spec: TargetSpec,
        *,
        batch: int,
        seed: int,
        where: Path,
    ) -> None:
        if not len(table):
            raise ValueError(
                f"{where}: expected clips to train on, found none; give the data set a train "
                "split, or name trained weights in place of training"
            )
        self._table = table
        self._source = source
        self._target_spec = target_spec
        self._batch = batch
        self._seed = seed
        self._where = where

    @property
    def steps_per_epoch(self) -> int:
        """Full batches in a pass over the clips, at least 1."""
        return max(1, len(self._table) // self._batch)

    def order(self, epoch: int) -> NDArray[np.intp]:
        """Return the clips of an epoch in their order, ``(steps * batch,)``."""
        seeds = np.random.SeedSequence([self._seed, epoch])
        shuffled = np.random.Generator(np.random.PCG64(seeds)).permutation(len(self._table))
        return np.resize(shuffled, self.steps_per_epoch * self._batch)

    def batches(self, start: int, stop: int, context: DistributedContext) -> Iterator[Batch]:
        """Yield this process's clips of the batches of steps ``start`` to ``stop - 1``.

        Args:
            start: First step, from 0, over all epochs.
            stop: Step to stop before.
            context: This process.

        Yields:
            Cached tensors by kind, ``(B, T, ...)``, ``target`` ``(B, K, h, w)`` and ``weights``
            ``(B, K)``; float32 on the device, valid until the next batch is requested.

        Raises:
            ValueError: If the batch size is not a multiple of the number of processes.
        """
        if self._batch % context.world_size:
            raise ValueError(
                f"batch: expected a multiple of the {context.world_size} processes, got "
                f"{self._batch}"
            )
        if self._batch > len(self._table) and not context.rank:
            sys.stderr.write(
                f"{self._where}: {len(self._table)} clips are repeated to fill batches of "
                f"{self._batch}; lower the batch size unless this is intended\n"
            )
        rows = self._batch // context.world_size
        yield from self._source.batches(self._requests(start, stop, context), rows, self.targets)

    def _requests(
        self, start: int, stop: int, context: DistributedContext
    ) -> Iterator[BatchRequest]:
        epoch, order = -1, np.zeros(0, np.intp)
        for step in range(start, stop):
            if step // self.steps_per_epoch != epoch:
                epoch = step // self.steps_per_epoch
                order = self.order(epoch)
            first = step % self.steps_per_epoch * self._batch
            clips = order[first : first + self._batch][context.rank :: context.world_size]
            yield BatchRequest(
                epoch % self._table.variants, clips, check=epoch < self._table.variants
            )

    def in_table_order(self, limit: int | None = None) -> Iterator[Batch]:
        """Yield variant 0 of every clip once, in the table's order; the last batch may be short.

        Args:
            limit: Largest number of clips; of more, evenly spaced ones are taken.
        """
        count = len(self._table)
        taken = count if limit is None else min(limit, count)
        parts = np.arange(taken) * count // taken
        requests = (
            BatchRequest(0, parts[first : first + self._batch], check=True)
            for first in range(0, len(parts), self._batch)
        )
        yield from self._source.batches(requests, self._batch, self.targets)

    def targets(self, request: BatchRequest, device: torch.device) -> Batch:
        """Return target heatmaps and joint weights of the clips of a request."""
        keypoints, visible = (
            torch.from_numpy(values[request.variant][request.clips]).to(device)
            for values in (self._table.keypoints, self._table.visible)
        )
        target_spec = self._target_spec
        return {
            "target": make_targets(keypoints, visible, target_spec.heatmap_size, target_spec.sigma),
            "weights": joint_weights(visible, target_spec.target.occluded),
        }


def unit_names(table: ClipTable, request: BatchRequest) -> Sequence[str]:
    """Return the name of the unit of every clip of a request."""
    return [f"{video}/v{request.variant}" for video in table.videos[request.clips]]


class MappedSource:
    """Reads batches from the stores ahead of use, in one thread that also makes the targets.

    Args:
        table: The clips.
        caches: Their stores.
        device: Where the batches go.

    Raises:
        ValueError: If the stores hold other clips than the table.
    """

    def __init__(self, table: ClipTable, caches: Caches, device: torch.device) -> None:
        self._table = table
        self._caches = caches
        self._device = device
        caches.check_clips(table.units)
        self._stream: torch.cuda.Stream | None = None
        if device.type == "cuda":
            self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def batches(
        self, requests: Iterator[BatchRequest], rows: int, targets: MakeTargets
    ) -> Iterator[Batch]:
        """Yield the batch of every request; see ``BatchSource``."""
        pinned = self._stream is not None
        ring = [_Buffers(self._caches, rows, pinned=pinned) for _ in range(_RING)]
        load = partial(self._load, targets)
        for batch in prefetch(requests, load, ring, advise=self._advise):
            if self._stream is not None:
                for tensor in batch.values():
                    tensor.record_stream(torch.cuda.current_stream(self._device))
            yield batch

    def _advise(self, request: BatchRequest) -> None:
        self._caches.advise(unit_names(self._table, request), self._table.rows[request.clips])

    def _load(self, targets: MakeTargets, request: BatchRequest, buffers: "_Buffers") -> Batch:
        rows = self._table.rows[request.clips]
        self._caches.read(
            unit_names(self._table, request), rows, buffers.stored, check=request.check
        )
        cut = {
            kind: self._caches.cut(kind, tensor[: len(rows)])
            for kind, tensor in buffers.stored.items()
        }
        if self._stream is None:
            return buffers.as_float32(cut) | targets(request, self._device)
        # This thread copies on a separate stream and waits for it, so that the loop never waits.
        with torch.cuda.stream(self._stream):
            batch = {
                kind: part.to(self._device, non_blocking=True).float() for kind, part in cut.items()
            } | targets(request, self._device)
        self._stream.synchronize()
        return batch


class _Buffers:
    """Memory of one batch: rows as stored, and as float32 for computation on the CPU."""

    def __init__(self, caches: Caches, rows: int, *, pinned: bool) -> None:
        self.stored = caches.buffers(rows, pinned=pinned)
        self._converted: Batch = {}

    def as_float32(self, parts: Batch) -> Batch:
        batch = {}
        for kind, part in parts.items():
            kept = self._converted.get(kind)
            if kept is None or len(kept) < len(part):
                kept = self._converted[kind] = torch.empty(part.shape, dtype=torch.float32)
            batch[kind] = kept[: len(part)].copy_(part)
        return batch


class ResidentSource:
    """Keeps the stores, as float16, in the memory of the device.

    Args:
        table: The clips.
        caches: Their stores.
        device: Where they go.

    Raises:
        ValueError: If the stores hold other clips than the table, or all variants do not fit into
            the free memory of the GPU.
    """

    def __init__(self, table: ClipTable, caches: Caches, device: torch.device) -> None:
        self._table = table
        self._caches = caches
        self._device = device
        self._variants: dict[int, Batch] = {}
        caches.check_clips(table.units)
        self._check_memory()

    def _check_memory(self) -> None:
        if self._device.type != "cuda":
            return
        sizes = {k: int(np.prod(self._caches.row_shape(k))) for k in self._caches.kinds}
        needed = 2 * sum(sizes.values()) * len(self._table) * self._table.variants
        free, _ = torch.cuda.mem_get_info(self._device)
        if needed > free:
            raise ValueError(
                f"train.resident gpu: {len(self._table)} clips in {self._table.variants} variants "
                f"need {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB of the GPU are free; set "
                "train.resident to mmap"
            )

    def batches(
        self, requests: Iterator[BatchRequest], rows: int, targets: MakeTargets
    ) -> Iterator[Batch]:
        """Yield the batch of every request; see ``BatchSource``."""
        for request in requests:
            if request.variant not in self._variants:
                self._variants[request.variant] = self._fill(request.variant, rows)
            clips = torch.from_numpy(request.clips).to(self._device)
            kept = self._variants[request.variant]
            cached = {kind: tensor[clips].float() for kind, tensor in kept.items()}
            yield cached | targets(request, self._device)

    def _fill(self, variant: int, rows: int) -> Batch:
        """Copy one variant of all clips to the device."""
        clips = np.arange(len(self._table))
        buffers = self._caches.buffers(rows)
        kept: Batch = {}
        for first in range(0, len(clips), rows):
            request = BatchRequest(variant, clips[first : first + rows], check=True)
            rows_read = self._table.rows[request.clips]
            self._caches.read(unit_names(self._table, request), rows_read, buffers, check=True)
            for kind, tensor in buffers.items():
                part = self._caches.cut(kind, tensor[: len(rows_read)])
                if kind not in kept:
                    shape = (len(clips), *part.shape[1:])
                    kept[kind] = torch.empty(shape, dtype=part.dtype, device=self._device)
                kept[kind][first : first + rows] = part
        return kept
