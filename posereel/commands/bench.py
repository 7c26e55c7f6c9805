"""Compare all systems over several seeds on the same caches."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from models.head_parts.declaration import System
    from pipeline.bench.document import Cost
    from pipeline.bench.scores import Score


def main(
    seeds: Annotated[int, typer.Option(min=1, help="Trainings per system.")] = 3,
    systems: Annotated[str, typer.Option(help="Systems, with commas; '' = all.")] = "",
    data: Annotated[Path, typer.Option(help="Folder of all outputs.")] = Path("data"),
    params: Annotated[Path, typer.Option(help="Params file.")] = Path("params.yaml"),
    out: Annotated[Path, typer.Option(help="The document.")] = Path("docs/bench.md"),
) -> None:
    """Train, predict and evaluate all systems, and write data/bench/bench.json and docs/bench.md.

    First run posereel use-preset bench and dvc repro, which make the caches. A killed run continues
    with the units that are missing.
    """
    from pipeline.bench.document import Bench, as_json, as_markdown
    from pipeline.core.atomic_file import write_file
    from pipeline.core.data_set import read_data_set
    from pipeline.report.run_results import read_truths
    from posereel.bench_runs import prepare_seed, refuse_missing_caches, run_system

    chosen = _chosen(systems)
    refuse_missing_caches(list(chosen), data, params)
    folders = [data / "bench" / f"seed-{seed}" for seed in range(seeds)]
    for seed, folder in enumerate(folders):
        prepare_seed(folder, data, params, seed)
        for name, system in chosen.items():
            if seed == 0 or system.trained:
                run_system(name, folder)
                typer.echo(f"bench: seed {seed}: {name}")
    described = read_data_set(params)
    result = Bench(
        data_set=described.name,
        videos=len(read_truths(data, Path(described.annotations))),
        seeds=seeds,
        titles={name: system.title for name, system in chosen.items()},
        scores=_scores(chosen, folders, params),
        costs=_costs(chosen, folders, params),
    )
    text = json.dumps(as_json(result), indent=1, allow_nan=False) + "\n"
    write_file(data / "bench" / "bench.json", text.encode())
    write_file(out, as_markdown(result).encode())
    typer.echo(f"bench: wrote {data / 'bench/bench.json'} and {out}")


def _chosen(names: str) -> "dict[str, System]":
    """Return the systems of an option, in the order of tables."""
    from models.head_parts.lookup import all_systems, find_system

    wanted = [name.strip() for name in names.split(",") if name.strip()]
    for name in wanted:
        find_system(name)
    return {name: system for name, system in all_systems().items() if name in wanted or not wanted}


def _scores(
    systems: "Mapping[str, System]", folders: "Sequence[Path]", params: Path
) -> "dict[str, dict[str, Score]]":
    """Return the scores by split, then by system."""
    from models.head_parts.lookup import comparisons
    from pipeline.bench.document import SPLITS
    from pipeline.bench.scores import score_systems
    from pipeline.core.data_set import read_data_set
    from pipeline.report.run_results import read_results, read_truths

    truths = read_truths(folders[0] / "data", Path(read_data_set(params).annotations))
    trained = [name for name, system in systems.items() if system.trained]
    runs = [
        read_results(folder / "data", truths, trained if seed else list(systems)).matches
        for seed, folder in enumerate(folders)
    ]
    return {
        split: score_systems(
            {name: [run[split][name] for run in runs if name in run[split]] for name in systems},
            comparisons(systems),
        )
        for split in SPLITS
    }


def _costs(
    systems: "Mapping[str, System]", folders: "Sequence[Path]", params: Path
) -> "dict[str, Cost]":
    """Return the cost of every system, with the times of the units that this machine computed."""
    from statistics import mean

    import torch

    from models.cost import module_costs
    from pipeline.bench.document import Cost
    from pipeline.core.caches.clip_table import clips_file, read_clips
    from pipeline.core.units.entry_log import read_entries
    from pipeline.core.units.scratch import find_scratch
    from posereel.bench_runs import unit_keys
    from posereel.networks import example

    entries = read_entries(find_scratch(folders[0]).timings)
    seconds = {entry["key"]: float(entry["seconds"]) for entry in entries if "key" in entry}
    costs = {}
    for name, system in systems.items():
        parameters, flops = 0, 0
        if system.trained:
            with torch.device("meta"):
                _, parameters, flops = module_costs(*example(name, params))[-1]
        runs = folders if system.trained else folders[:1]
        keys = [unit_keys(folder, "train", name) for folder in runs]
        trained = [sum(seconds[key] for key in each) for each in keys if each <= seconds.keys()]
        predicted = unit_keys(folders[0], "predict", name)
        clips = sum(
            len(read_clips(clips_file(folders[0] / "data", system.crops, split)))
            for split in ("val", "val_gt")
        )
        spent = sum(seconds.get(key, 0.0) for key in predicted)
        known = predicted <= seconds.keys() and spent > 0
        costs[name] = Cost(
            parameters=parameters,
            flops=flops,
            training_seconds=mean(trained) if trained and system.trained else None,
            clips_per_second=clips / spent if known else None,
        )
    return costs
