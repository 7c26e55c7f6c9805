"""The batches that training reads, for use in a training loop of your own."""

from collections.abc import Iterator

import torch

from pipeline.training.dataset import Batch, ClipFeed
from pipeline.training.processes import DistributedContext


class ClipLoader:
    """Shuffled batches of an epoch, read ahead by a thread; each iteration is the next epoch.

    Attributes:
        epoch: The epoch of the next iteration, from 0. Set it to continue an interrupted training.
            An iteration that is left early still counts as an epoch.

    Args:
        feed: The batches.
        device: Where they go.
    """

    def __init__(self, feed: ClipFeed, device: torch.device) -> None:
        self._feed = feed
        self._context = DistributedContext(device, rank=0, world_size=1)
        self.epoch = 0

    def __len__(self) -> int:
        """Return the number of batches of an epoch."""
        return self._feed.steps_per_epoch

    def __iter__(self) -> Iterator[Batch]:
        """Yield the batches of an epoch.

        Yields:
            The cached tensors by name ``(B, T, ...)``, ``target`` ``(B, K, h, w)`` and ``weights``
            ``(B, K)``, float32. Their memory is used again: a batch is valid until the next one.
        """
        start = self.epoch * len(self)
        self.epoch += 1
        yield from self._feed.batches(start, start + len(self), self._context)
