"""Give finished units new keys after an edit without effect.

An edit of a numeric module gives all units new keys, and everything would be computed again. This
command computes a sample under the new code. Only if every byte agrees with what was published
does it link the other units to their new keys; ``dvc repro`` then finds them. Units whose keys
differ in more than the code (params, weights, frames, labels) are never touched.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from pipeline.maintenance.dag import read_dag
from pipeline.maintenance.past_code import past_digests, same_but_code
from pipeline.maintenance.relabel import Renamed, compute_again, relabel, sample_of
from pipeline.maintenance.verify import read_units
from pipeline.publishing.rehearsal import rehearse
from pipeline.units.scratch import Scratch, find_scratch
from stages import crop, detect, features, flow, heatmaps, predict, render, tokens

Stage = Literal["render", "detect", "crop", "heatmaps", "flow", "tokens", "features", "predict"]
APPS: dict[Stage, typer.Typer] = {
    "render": render.app,
    "detect": detect.app,
    "crop": crop.app,
    "heatmaps": heatmaps.app,
    "flow": flow.app,
    "tokens": tokens.app,
    "features": features.app,
    "predict": predict.app,
}


def main(
    stage: Annotated[Stage, typer.Argument(help="A stage that works in units.")],
    sample: Annotated[int, typer.Option(min=1, help="Units to compute again.")] = 8,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Give the units of STAGE their new keys, if a sample of them has the same bytes."""
    scratch = find_scratch(Path())
    scratch.refuse_running()
    known = list(_known_by_other_keys(scratch, stage))
    # Names repeat from split to split, new keys do not.
    keys = {one.unit.key: one.old.key for one, _ in known}
    parts = {one.unit.key: of_key for one, of_key in known}
    same = same_but_code(keys, parts, past_digests(f"stages.{stage}", scratch.project))
    cosmetic = [one for one, _ in known if one.unit.key in same]
    chosen = sample_of(cosmetic, sample)
    if different := compute_again(scratch, chosen):
        for line in different:
            typer.echo(line, err=True)
        raise ValueError(
            f"{stage}: {len(different)} of {len(chosen)} sampled units differ (above): the edit is "
            "not cosmetic, nothing was re-labeled; run: dvc repro"
        )
    others = [one for one in cosmetic if one not in chosen]
    done = sum(relabel(scratch, one) for one in others)
    counts = {
        "stage": stage,
        "sampled": len(chosen),
        "relabeled": done,
        "absent": len(others) - done,
        "changed_otherwise": len(known) - len(cosmetic),
    }
    if as_json:
        typer.echo(json.dumps(counts))
        return
    typer.echo(
        f"rekey: {stage}: {len(chosen)} sampled units have the same bytes, {done} re-labeled, "
        f"{counts['absent']} not here, {counts['changed_otherwise']} changed in more than the "
        "code; run: dvc repro"
    )


def _known_by_other_keys(
    scratch: Scratch, stage: Stage
) -> Iterator[tuple[Renamed, Mapping[str, object]]]:
    """Yield the published units whose keys are not those of now, with the parts of the new key."""
    command = typer.main.get_command(APPS[stage])
    for item in read_dag(scratch.project):
        # What was never published has no unit to re-label, and may lack its inputs.
        if item.stage != stage or not all((scratch.project / out).exists() for out in item.outs):
            continue
        asked = rehearse(partial(command.main, list(item.command[3:]), standalone_mode=False))
        if asked.plan is None:
            continue
        published = read_units(asked.plan.listing)
        for unit in asked.plan.units:
            listed = published.get(unit.name)
            if listed is not None and listed.key != unit.key:
                old = replace(unit, key=listed.key)
                yield Renamed(asked.plan, unit, old, listed.digest), asked.parts[unit.key]
