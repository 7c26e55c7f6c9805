"""Fine-tuning of the pose backbone on train crops, with folds, or its publication untouched."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from pipeline.backbones import FULL_WEIGHTS, fold_weights, write_description
from pipeline.base.params import read_section
from pipeline.caches.clip_table import clips_file, read_clips
from pipeline.networks.weights import REINITIALIZED_ROWS, read_metadata, read_weights, write_weights
from pipeline.schedule import Training
from pipeline.splits import assign_folds
from pipeline.training.cache_training import CacheRun, train_from_caches
from pipeline.training.loop import Loss
from pipeline.training.processes import Place, join_processes, process_count, start_processes
from pipeline.training.run_folder import mark_finished
from pipeline.training.run_outs import publish_files
from pipeline.training.targets import Target
from pipeline.units.parent import DvcParent
from pipeline.units.receipts import hash_file
from pipeline.units.run_time import Train
from pipeline.units.threads import limit_threads


@dataclass(frozen=True, slots=True)
class BackboneRun:
    """A backbone and how it is fine-tuned."""

    section: str
    """Section of params.yaml, named like the stage."""
    training: Training
    params: Mapping[str, object]
    """Params that change the result, for the run's key."""
    variant: str
    """Variant of the network."""
    weights: Path
    """Weights that it starts from."""
    folds: int
    crop_size: tuple[int, int]
    """Height and width of the crops, pixels."""
    build: Callable[[Mapping[str, Tensor], str], nn.Module]
    """Builds the network from weights and their name, strictly."""
    loss: Loss


def publish_untouched(run: BackboneRun, data: Path) -> str:
    """Publish the given weights as they are, once they fit the network.

    Raises:
        ValueError: If they do not fit, rows of their head were made up on import, or folds are
            asked for.
    """
    tensors = read_weights(run.weights)
    if made_up := read_metadata(run.weights).get(REINITIALIZED_ROWS):
        raise ValueError(
            f"{run.weights}: expected a trained head, but its rows of {made_up} were "
            f"re-initialized on import; set {run.section}.epochs above 0"
        )
    if run.folds > 1:
        raise ValueError(
            f"{run.section}.folds: expected 1 where epochs is 0, got {run.folds}: weights that are "
            "not trained here are the same for every video"
        )
    run.build(tensors, str(run.weights))
    out = data / "backbones"

    def fill(folder: Path) -> None:
        shutil.copyfile(run.weights, folder / FULL_WEIGHTS)
        write_description(folder, run.variant, {})

    publish_files(out, fill, DvcParent())
    return f"{run.section}: published {run.weights} in {out}"


def finetune(run: BackboneRun, data: Path, params: Path) -> str:
    """Fine-tune the backbone on all train videos and, with folds, once without each fold.

    Args:
        run: The backbone and how it is fine-tuned.
        data: Folder of all outs.
        params: The params file, for the sections ``train`` and ``target``.

    Returns:
        The line that the stage ends with.

    Raises:
        ValueError: If params, crops or weights do not fit together, or memory is short.
    """
    settings = read_section(params, "train", Train)
    if settings.processes > 1 and process_count() == 1:
        start_processes(settings.processes, f"stages.{run.section}")
    target = read_section(params, "target", Target)
    parent = DvcParent()
    limit_threads(settings.threads)
    videos = set(read_clips(clips_file(data, "hrnet", "train"))["video"])
    folds = assign_folds(videos, run.folds) if run.folds > 1 else {}
    start = hash_file(run.weights)
    # Held-out videos judge heads; the backbone's weights are always those of the last step.
    everything = settings.model_copy(update={"holdout": 0.0})
    trained: dict[str, dict[str, Tensor]] = {}
    folders: list[Path] = []
    with join_processes(settings.device) as place:
        for fold in [None, *range(run.folds if folds else 0)]:
            cache_run = _cache_run(run, data, start, fold, folds)
            done = train_from_caches(cache_run, data, everything, target, place)
            name = FULL_WEIGHTS if fold is None else fold_weights(fold)
            trained[name] = {key: value.cpu() for key, value in done.network.state_dict().items()}
            folders.append(done.folder)
        line = _publish(run, data, trained, folds, parent, place)
        for folder in folders if place.rank == 0 else ():
            mark_finished(folder)
        return line


def _cache_run(
    run: BackboneRun, data: Path, start: str, fold: int | None, folds: Mapping[str, int]
) -> CacheRun:
    def build(**_: object) -> nn.Module:
        return run.build(read_weights(run.weights), str(run.weights))

    return CacheRun(
        section=run.section,
        name="whole" if fold is None else f"fold{fold}",
        training=run.training,
        params=run.params,
        crops="hrnet",
        crop_size=run.crop_size,
        folders={"crops": data / "crops" / "hrnet" / "train"},
        frames=1,
        build=build,
        loss=run.loss,
        weights={"start": start},
        videos=lambda video: fold is None or folds[video] != fold,
    )


def _publish(
    run: BackboneRun,
    data: Path,
    trained: Mapping[str, Mapping[str, Tensor]],
    folds: Mapping[str, int],
    parent: DvcParent,
    place: Place,
) -> str:
    out = data / "backbones"

    def fill(folder: Path) -> None:
        for name, tensors in trained.items():
            write_weights(folder / name, tensors)
        write_description(folder, run.variant, folds)

    if place.rank == 0:
        publish_files(out, fill, parent)
    return f"{run.section}: fine-tuned {len(trained)} backbone(s), wrote {out}"
