"""The training loop of all networks: AdamW, exact resume, one process or several.

Runs with the same inputs end in the same bytes, even if they were killed and resumed: the seed of
every step is a function of (seed, step, process), the order of the clips is a function of (seed,
epoch), and a checkpoint contains the network, the optimizer and the history.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from pipeline.core.networks.devices import compute_dtype
from pipeline.core.networks.weights import write_weights
from pipeline.core.schedule import Training
from pipeline.core.units.progress import Advance, progress
from pipeline.training.checkpoint import read_checkpoint, write_checkpoint
from pipeline.training.collapse import across_clip_share, record_parts, report_collapse
from pipeline.training.declarations import Batch, Group, groups_of, parts_of
from pipeline.training.history import History
from pipeline.training.processes import DistributedContext, mean_over_processes
from pipeline.training.run_folder import BEST, TIMINGS

Loss = Callable[[nn.Module, Batch], Mapping[str, Tensor]]
"""Returns the weighted terms of the loss, scalars; training minimizes their sum."""


_FACTOR = "factor"
"""Entry of an optimizer's group: its learning rate in units of the schedule's."""


class Feed(Protocol):
    """Source of batches."""

    @property
    def steps_per_epoch(self) -> int:
        """Steps of one pass over the clips."""

    def batches(self, start: int, stop: int, context: DistributedContext) -> Iterator[Batch]:
        """Yield this process's part of the batch of steps ``start`` to ``stop - 1``."""


@dataclass(frozen=True, slots=True)
class LoopConfig:
    """Settings of a run."""

    training: Training
    section: str
    """Section of params.yaml that ``training`` comes from, for messages."""
    folder: Path
    """Scratch folder of this run alone: checkpoint and timings."""
    checkpoint_every: int
    """Steps between checkpoints."""
    context: DistributedContext
    exported_module: Callable[[nn.Module], nn.Module] = lambda network: network
    """The part of the network whose weights are the result; it may implement the protocols of
    ``pipeline.training.declarations``. Gradients of the parameters of the loss are clipped
    separately, so that they do not shorten the steps of this part."""
    held_out: Callable[[nn.Module], float] | None = None
    """Loss on the held-out videos, computed after every epoch; ``None`` = no such videos."""


def train(network: nn.Module, loss: Loss, feed: Feed, config: LoopConfig) -> History:
    """Train a network in place, from the folder's checkpoint if there is one.

    Args:
        network: On the device of ``config.context``, with the same weights in every process.
        loss: The loss of one batch.
        feed: The batches.
        config: Settings of the run.

    Returns:
        The history of all steps, those before the checkpoint included.

    Raises:
        ValueError: If the memory of the device does not suffice or a loss is not finite.
    """
    config.folder.mkdir(parents=True, exist_ok=True)
    with _deterministic():
        loop, context = _Loop(network, loss, feed, config), config.context
        try:
            loop.run()
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if not _is_out_of_memory(error):
                raise
            raise ValueError(
                f"step {len(loop.history) + 1}: out of memory on {context.device} with batches of "
                f"{config.training.batch} clips over {context.world_size} process(es); lower "
                f"{config.section}.batch"
            ) from error
    network.eval()
    return loop.history


class _Objective(nn.Module):
    """Network and loss as one module, so that DDP sees every parameter that the loss uses."""

    def __init__(self, network: nn.Module, loss: Loss) -> None:
        super().__init__()
        self.network = network
        self.loss = loss

    def forward(self, batch: Batch) -> Mapping[str, Tensor]:
        return self.loss(self.network, batch)


class _Loop:
    def __init__(self, network: nn.Module, loss: Loss, feed: Feed, config: LoopConfig) -> None:
        self.network = network
        self.feed = feed
        self.config = config
        exported = config.exported_module(network)
        self.optimizer = torch.optim.AdamW(
            [
                {"params": parameters, _FACTOR: factor}
                for factor, parameters in _all_groups(network, exported)
            ],
            lr=config.training.lr,
            weight_decay=config.training.weight_decay,
        )
        self.parts = parts_of(exported)
        self.history = read_checkpoint(config.folder, network, self.optimizer, self.parts)
        self.objective: nn.Module = _Objective(network, loss)
        if config.context.world_size > 1:
            # Without looking for unused parameters DDP regroups its buckets after the first step,
            # and a resumed run would add up gradients in another order than an uninterrupted one.
            self.objective = DistributedDataParallel(self.objective, find_unused_parameters=True)
        self.seconds: list[tuple[int, float, float]] = []

    def run(self) -> None:
        total = self.config.training.total_steps(self.feed.steps_per_epoch)
        first = len(self.history)
        self.network.train()
        before = perf_counter()
        with self._progress(first, total) as advance:
            for step, batch in enumerate(
                self.feed.batches(first, total, self.config.context), first
            ):
                got = perf_counter()
                epoch_done = (step + 1) % self.feed.steps_per_epoch == 0 or step + 1 == total
                with record_parts(self.parts if epoch_done else {}) as outputs:
                    self._step(step, batch)
                self._after(step + 1, total, outputs)
                advance()
                now = perf_counter()
                self.seconds.append((step + 1, got - before, now - got))
                before = now
        self._write_timings()
        if not self.config.context.rank:
            report_collapse(self.config.section, self.history.last_shares())

    def _progress(self, done: int, total: int) -> AbstractContextManager[Advance]:
        if self.config.context.rank:
            return nullcontext(lambda _=1: None)
        return progress(self.config.section, total, "steps", done)

    def _step(self, step: int, batch: Batch) -> None:
        training = self.config.training
        rate = training.rate(step, self.feed.steps_per_epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group[_FACTOR]
        torch.manual_seed(_step_seed(training.seed, step, self.config.context.rank))
        self.optimizer.zero_grad(set_to_none=True)
        device = self.config.context.device
        dtype = compute_dtype(device)
        with torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32):
            terms = self.objective(batch)
        torch.autograd.backward(torch.stack(list(terms.values())).sum())
        if training.clip:
            for group in self.optimizer.param_groups:
                nn.utils.clip_grad_norm_(group["params"], training.clip)
        self.optimizer.step()
        self.history.add(step + 1, step // self.feed.steps_per_epoch, rate, terms)

    def _after(self, taken: int, total: int, outputs: Mapping[str, Tensor]) -> None:
        """Do what is due after a step: shares of parts, held-out loss, checkpoint."""
        config = self.config
        epoch_done = taken % self.feed.steps_per_epoch == 0 or taken == total
        held_out = config.held_out is not None and epoch_done
        checkpoint = taken % config.checkpoint_every == 0 or taken == total
        if not (held_out or checkpoint or outputs):
            return
        self.history.append_pending(
            mean_over_processes(self.history.pending_losses(), config.context)
        )
        if outputs:
            shares = {name: across_clip_share(part) for name, part in outputs.items()}
            self.history.record_shares(shares)
        if config.context.rank:
            return
        if held_out:
            self._evaluate()
        if checkpoint:
            write_checkpoint(config.folder, self.network, self.optimizer, self.history)
            self._write_timings()

    def _evaluate(self) -> None:
        if self.config.held_out is None:
            return
        self.network.eval()
        with torch.no_grad():
            value = self.config.held_out(self.network)
        self.network.train()
        if self.history.record_held_out(value):
            write_weights(self.config.folder / BEST, self.network.state_dict())

    def _write_timings(self) -> None:
        lines = [f"{step},{wait:.6f},{work:.6f}\n" for step, wait, work in self.seconds]
        self.seconds = []
        if self.config.context.rank:
            return
        path = self.config.folder / TIMINGS
        with path.open("a", encoding="utf-8") as file:
            if file.tell() == 0:
                file.write("step,wait_s,compute_s\n")
            file.writelines(lines)


def _all_groups(network: nn.Module, exported: nn.Module) -> list[Group]:
    """Return the groups of the exported module, then the other parameters of the network."""
    groups = groups_of(exported)
    known = {id(parameter) for _, parameters in groups for parameter in parameters}
    groups = [*groups, (1.0, [p for p in network.parameters() if id(p) not in known])]
    return [(factor, parameters) for factor, parameters in groups if parameters]


def _step_seed(seed: int, step: int, rank: int) -> int:
    words = np.random.SeedSequence([seed, step, rank]).generate_state(1, np.uint64)
    return int(words[0] >> np.uint64(1))


def _is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error is a lack of memory; on the CPU torch raises a RuntimeError."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return "DefaultCPUAllocator" in str(error)


@contextmanager
def _deterministic() -> Iterator[None]:
    """Use deterministic kernels; torch warns about operations that have none."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS requires it
    enabled = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    memory = torch.utils.deterministic
    fill = memory.fill_uninitialized_memory  # type: ignore[attr-defined]  # torch's stubs lack it
    torch.use_deterministic_algorithms(mode=True, warn_only=True)
    # Filling fresh memory costs time and changes nothing where no kernel reads it.
    memory.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(mode=enabled, warn_only=warn_only)
        memory.fill_uninitialized_memory = fill  # type: ignore[attr-defined]
