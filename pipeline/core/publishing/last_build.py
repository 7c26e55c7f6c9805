"""The units of the last build of every out, kept in scratch to show progress while it runs."""

import json
from dataclasses import dataclass

from pipeline.core.atomic_file import write_file
from pipeline.core.units.plan import Plan
from pipeline.core.units.scratch import Scratch


@dataclass(frozen=True, slots=True)
class LastBuild:
    """The last build of one out."""

    stage: str
    out: str
    """Path relative to the project."""
    units: dict[str, str]
    """Key of every unit of the out, by name."""


def note_build(scratch: Scratch, plan: Plan) -> None:
    """Record the units that an out will consist of."""
    place = plan.out.absolute()
    below = place.relative_to(scratch.project) if scratch.project in place.parents else place
    content = {
        "project": str(scratch.project),
        "stage": plan.stage,
        "out": below.as_posix(),
        "units": {unit.name: unit.key for unit in plan.units},
    }
    scratch.builds.mkdir(parents=True, exist_ok=True)
    name = scratch.lock_of_out(plan.out)
    # Slices of one out may start at the same time and would write the same temporary file.
    with scratch.lock(f"build-{name}"):
        write_file(scratch.builds / f"{name}.json", json.dumps(content).encode())


def read_last_builds(scratch: Scratch) -> dict[str, LastBuild]:
    """Return the last build of every out of this workspace, by the out's path."""
    found = {}
    for file in sorted(scratch.builds.glob("*.json")):
        try:
            content = json.loads(file.read_bytes())
            if content["project"] == str(scratch.project):
                build = LastBuild(content["stage"], content["out"], dict(content["units"]))
                found[build.out] = build
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return found
