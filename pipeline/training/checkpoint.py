"""Checkpoints of a training run: one safetensors file, replaced atomically and restored exactly."""

import json
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from pipeline.core.networks.weights import read_metadata, read_weights, write_weights
from pipeline.training.history import History
from pipeline.training.run_folder import CHECKPOINT

_NETWORK = "network."
_OPTIMIZER = "optimiser."
_HISTORY = "history"


def write_checkpoint(folder: Path, network: nn.Module, optimizer: Optimizer, run: History) -> None:
    """Replace the checkpoint of a run by its current state.

    States of random generators are not saved, because the loop seeds them from the step. The
    position is the length of the history.

    Args:
        folder: Scratch folder of the run.
        network: The network that is trained.
        optimizer: Its optimizer.
        run: The history, without pending steps.
    """
    tensors = {_NETWORK + name: tensor for name, tensor in network.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"{_OPTIMIZER}{index}.{name}": value for name, value in state.items()}
    tensors[_HISTORY] = run.to_tensor()
    write_weights(folder / CHECKPOINT, tensors, {"columns": json.dumps(run.columns)})


def read_checkpoint(
    folder: Path, network: nn.Module, optimizer: Optimizer, parts: Iterable[str] = ()
) -> History:
    """Restore network and optimizer from the checkpoint of a folder.

    Args:
        folder: Scratch folder of the run; without a checkpoint nothing changes.
        network: The network that is trained.
        optimizer: Its optimizer, without state.
        parts: Parts of the network whose across-clip share is recorded.

    Returns:
        The history up to the checkpoint; an empty one without a checkpoint.
    """
    path = folder / CHECKPOINT
    if not path.is_file():
        return History(parts=parts)
    tensors = read_weights(path)
    network.load_state_dict(_below(_NETWORK, tensors))
    fresh = optimizer.state_dict()
    fresh["state"] = _states(_below(_OPTIMIZER, tensors))
    # Moves the moments to the device of their parameter and leaves the step counters on theirs.
    optimizer.load_state_dict(fresh)
    return History(json.loads(read_metadata(path)["columns"]), tensors[_HISTORY], parts)


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }


def _states(tensors: dict[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    states: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        index, _, name = key.partition(".")
        states.setdefault(int(index), {})[name] = tensor.to(torch.float32)
    return states
