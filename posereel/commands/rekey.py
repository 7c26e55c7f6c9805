"""Give finished units new keys after an edit without effect.

An edit of a numeric module gives all units new keys, so ``dvc repro`` computes them again. This
command avoids that for an edit that changes no result. It computes a sample of units with the new
code. If every byte equals the published one, it links the other units to their new keys. Units
whose params, weights, frames or labels changed, too, keep their old keys.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Annotated, Literal

import typer

from pipeline.core.units.key import KeyParts
from pipeline.core.units.scratch import Scratch, find_scratch
from pipeline.maintenance.dag import read_dag
from pipeline.maintenance.past_code import past_code, same_but_code
from pipeline.maintenance.relabel import RenamedUnit, compute_again, relabel, sample_of
from pipeline.maintenance.verify import read_units

Stage = Literal["render", "detect", "crop", "heatmaps", "flow", "tokens", "features", "predict"]


def main(
    stage: Annotated[Stage, typer.Argument(help="A stage with units.")],
    sample: Annotated[int, typer.Option(min=1, help="Units to compute again.")] = 8,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Give the units of STAGE their new keys if a sample of them has the same bytes."""
    scratch = find_scratch(Path())
    scratch.check_idle()
    known = list(_known_by_other_keys(scratch, stage))
    cosmetic = _cosmetic(known, scratch.project)
    chosen = sample_of(cosmetic, sample)
    if different := compute_again(scratch, chosen):
        for line in different:
            typer.echo(line, err=True)
        raise ValueError(
            f"{stage}: {len(different)} of {len(chosen)} sampled units differ (above): the edit "
            "changes results, no unit got a new key; run: dvc repro"
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
        f"rekey: {stage}: {len(chosen)} sampled units have the same bytes, {done} units got "
        f"new keys, {counts['absent']} are missing, {counts['changed_otherwise']} differ in more "
        "than the code; run: dvc repro"
    )


def _cosmetic(known: Sequence[tuple[RenamedUnit, KeyParts]], project: Path) -> list[RenamedUnit]:
    """Return the units whose keys differ only in the code."""
    found: list[RenamedUnit] = []
    for modules in sorted({tuple(one.plan.modules) for one, _ in known}):
        group = [(one, parts) for one, parts in known if tuple(one.plan.modules) == modules]
        # Names repeat between splits, new keys do not.
        keys = {one.unit.key: one.old.key for one, _ in group}
        parts_of = {one.unit.key: parts for one, parts in group}
        same = same_but_code(keys, parts_of, past_code(modules, project))
        found += [one for one, _ in group if one.unit.key in same]
    return found


def _known_by_other_keys(scratch: Scratch, stage: Stage) -> Iterator[tuple[RenamedUnit, KeyParts]]:
    """Yield the published units whose keys have changed, with the parts of the new key."""
    # Imported here: stages load torch, which --help does not need.
    module = import_module(f"stages.{stage}")
    command = typer.main.get_command(module.app)
    for item in read_dag(scratch.project):
        # A stage that was never published has no units, and its inputs may be missing.
        if item.stage != stage or not all((scratch.project / out).exists() for out in item.outs):
            continue
        plan = module.plan(**command.make_context(stage, list(item.command[3:])).params)
        published = read_units(plan.listing)
        for unit in plan.units:
            listed = published.get(unit.name)
            if listed is not None and listed.key != unit.key and unit.parts is not None:
                old = replace(unit, key=listed.key)
                yield RenamedUnit(plan, unit, old, listed.digest), unit.parts
