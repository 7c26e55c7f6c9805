"""A head's training run, from the caches of the train split to data/runs/<system>."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from torch import Tensor, nn

from pipeline.base.params import read_section
from pipeline.caches.reader import Caches
from pipeline.head_params.network import System
from pipeline.networks.weights import read_weights, write_weights
from pipeline.schedule import Training
from pipeline.training.cache_training import BuildNetwork, CacheRun, train_from_caches
from pipeline.training.history import History
from pipeline.training.loop import Loss
from pipeline.training.processes import join_processes, process_count, start_processes
from pipeline.training.run_folder import BEST, mark_finished
from pipeline.training.run_outs import publish_files
from pipeline.training.target_params import Target
from pipeline.units.parent import DvcParent
from pipeline.units.run_time import Train
from pipeline.units.threads import limit_threads

WEIGHTS = "weights.safetensors"
HISTORY = "history.csv"


@dataclass(frozen=True, slots=True)
class HeadRun:
    """A head and how it is trained."""

    system: System
    section: str
    """Section of params.yaml, named like the stage."""
    training: Training
    weights: str
    """Folder below data/weights whose head is published as it is; ``none`` = train."""
    params: Mapping[str, object]
    """Params that change the result, for the run's key."""
    crop_size: tuple[int, int]
    """Height and width of the crops, pixels."""
    build: BuildNetwork
    """Builds the head, with whatever its loss needs, as one network."""
    loss: Loss
    head: Callable[[nn.Module], nn.Module]
    """The part of the network that is published."""
    load_weights: Callable[[nn.Module, Mapping[str, Tensor], str], None]
    """Copies weights into a network, strictly, and names their source in errors."""


def run_head(run: HeadRun, data: Path, params: Path) -> str:
    """Train a head, or publish the weights that ``weights`` names.

    Args:
        run: The head and how it is trained.
        data: Folder of all outs.
        params: The params file, for the sections ``train`` and ``target``.

    Returns:
        The line that the stage ends with.

    Raises:
        ValueError: If params, caches or weights do not fit together, or memory is short.
    """
    if run.weights != "none":
        return _publish_given(run, data)
    if not (run.training.epochs or run.training.steps):
        raise ValueError(
            f"{run.section}: expected epochs or steps above 0, or the name of trained weights"
        )
    settings = read_section(params, "train", Train)
    if settings.processes > 1 and process_count() == 1:
        start_processes(settings.processes, f"stages.{run.section}")
    target = read_section(params, "target", Target)
    parent = DvcParent()
    limit_threads(settings.threads)
    out = data / "runs" / run.system.name
    with join_processes(settings.device) as place:
        trained = train_from_caches(_cache_run(run, data), data, settings, target, place)
        if place.rank == 0:
            heads = {WEIGHTS: _float32(run.head(trained.network).state_dict())}
            if settings.holdout:
                trained.network.load_state_dict(read_weights(trained.folder / BEST))
                heads[BEST] = _float32(run.head(trained.network).state_dict())
            publish_files(out, partial(_fill, heads, trained.history), parent)
            mark_finished(trained.folder)
    return f"{run.section}: {len(trained.history)} steps on {trained.clips} clips, wrote {out}"


def _cache_run(run: HeadRun, data: Path) -> CacheRun:
    return CacheRun(
        section=run.section,
        name=run.system.name,
        training=run.training,
        params=run.params,
        crops=run.system.crops,
        crop_size=run.crop_size,
        folders=_folders(run, data),
        frames=run.system.frames,
        build=run.build,
        loss=run.loss,
        core=run.head,
    )


def _folders(run: HeadRun, data: Path) -> dict[str, Path]:
    return {kind: data / kind / "train" for kind in run.system.kinds}


def _publish_given(run: HeadRun, data: Path) -> str:
    """Publish weights that somebody trained before, once they fit this head.

    Without train clips the head's size is unknown here; predict loads the weights as strictly.
    """
    source = data / "weights" / run.weights / f"{run.system.name}.safetensors"
    tensors = read_weights(source)
    caches = Caches(_folders(run, data), run.system.frames)
    if caches.digests:
        head = run.head(run.build(shapes={kind: caches.row_shape(kind) for kind in caches.kinds}))
        run.load_weights(head, tensors, str(source))
    out = data / "runs" / run.system.name
    publish_files(out, partial(_fill, {WEIGHTS: _float32(tensors)}, History()), DvcParent())
    return f"{run.section}: published {source} in {out}"


def _fill(heads: Mapping[str, Mapping[str, Tensor]], history: History, folder: Path) -> None:
    for name, tensors in heads.items():
        write_weights(folder / name, tensors)
    history.write(folder / HISTORY)


def _float32(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    # Copies: the best weights are read into the same network afterwards.
    return {
        name: (tensor.float() if tensor.is_floating_point() else tensor).clone()
        for name, tensor in tensors.items()
    }
