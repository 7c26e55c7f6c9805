"""Write a new head: folder, params, dvc.yaml entry, test.

The head is two convolutions on the stacked inputs. It trains, predicts and is shown in tables and
report as it is; edit its network.py to make it yours. docs/new-head.md explains every file.
"""

import keyword
import re
from pathlib import Path
from typing import Annotated

import typer

from models.head_parts.declaration import System
from models.head_parts.lookup import all_systems, listed_systems
from pipeline.core.atomic_file import write_file
from pipeline.core.params import read_params
from pipeline.core.system_params import CACHES, SCHEDULE, section_of
from posereel.head_template import CHANNELS, network_source, system_source, unit_test_source

SLOTS = 2
"""Entries of ``caches`` in the list of systems of dvc.yaml."""
LIST = re.compile(r"^    foreach: &systems\n(?:      .*\n)+", re.MULTILINE)
BEFORE = re.compile(r"^predict:\n", re.MULTILINE)
"""Section of params.yaml that the sections of the systems come before."""


def main(
    name: Annotated[str, typer.Argument(help="Name: small letters, digits and underscores.")],
    reads: Annotated[
        str, typer.Option(help=f"Caches that it reads, with commas: {', '.join(CACHES)}.")
    ] = "heatmaps",
    root: Annotated[Path, typer.Option(help="Folder of the project.")] = Path(),
) -> None:
    """Write the head NAME, which reads the caches of --reads."""
    kinds = _kinds(reads)
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise ValueError(
            f"{name!r}: expected a name of small letters, digits and underscores, such as my_head"
        )
    if name in all_systems():
        raise ValueError(f"models/heads/{name}: expected a new name, this system exists")
    template_name, template = _find_template(kinds, root / "params.yaml")
    written = {
        f"models/heads/{name}/__init__.py": f'"""Two convolutions on {" and ".join(kinds)}."""\n',
        f"models/heads/{name}/system.py": system_source(name, kinds, template),
        f"models/heads/{name}/network.py": network_source(name, kinds),
        f"tests/models/heads/{name}/test_network.py": unit_test_source(name, kinds),
    }
    if taken := [path for path in written if (root / path).exists()]:
        raise ValueError(f"{taken[0]}: expected no such file; remove it or choose another name")
    written["dvc.yaml"] = _with_entry(root / "dvc.yaml", name, kinds, template)
    for file in [root / "params.yaml", *sorted((root / "presets").glob("*.yaml"))]:
        written[file.relative_to(root).as_posix()] = _with_section(file, name, template_name)
    for path, text in written.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        write_file(root / path, text.encode())
        typer.echo(path)
    first = "set features.enabled to true and " if "features" in kinds else ""
    typer.echo(f"new-head: wrote {name}, on the schedule of {template_name}; {first}run: dvc repro")


def _kinds(reads: str) -> list[str]:
    kinds = list(dict.fromkeys(kind.strip() for kind in reads.split(",")))
    if odd := [kind for kind in kinds if kind not in CACHES]:
        raise ValueError(f"--reads: expected some of {', '.join(CACHES)}, got {odd[0]!r}")
    if "tokens" in kinds and len(kinds) > 1:
        raise ValueError(
            f"--reads {reads}: expected tokens alone: they are made of other crops than the rest"
        )
    if len(kinds) > SLOTS:
        raise ValueError(
            f"--reads {reads}: expected at most {SLOTS} caches, the slots of the list of systems "
            "in dvc.yaml; docs/new-head.md describes how to add a slot"
        )
    return kinds


def _find_template(kinds: list[str], params: Path) -> tuple[str, System]:
    """Return the head on the same crops whose schedule, baseline and controls the new one gets."""
    values = read_params(params)
    crops = "vit" if "tokens" in kinds else "hrnet"
    for name, system in listed_systems().items():
        if system.baseline and system.crops == crops and SCHEDULE not in values[section_of(name)]:
            return name, system
    raise ValueError(f"models/heads: expected a head on the crops {crops}, found none")


def _with_entry(file: Path, name: str, kinds: list[str], template: System) -> str:
    """Return dvc.yaml with the new head at the end of the list of systems."""
    text = file.read_text(encoding="utf-8")
    found = LIST.search(text)
    if found is None:
        raise ValueError(f"{file}: expected the list of systems, `foreach: &systems`, found none")
    caches = ", ".join((kinds * SLOTS)[:SLOTS])
    section = section_of(name)
    entry = (
        f"      {name}: {{input: {template.crops}, caches: [{caches}], "
        f"schedule: '${{{section}.schedule}}', weights: '${{{section}.weights}}'}}\n"
    )
    return text[: found.end()] + entry + text[found.end() :]


def _with_section(file: Path, name: str, schedule: str) -> str:
    """Return a params file with the section of the new head."""
    text = file.read_text(encoding="utf-8")
    found = BEFORE.search(text)
    if found is None or section_of(name) in read_params(file):
        raise ValueError(f"{file}: expected a section `predict` and none called {section_of(name)}")
    section = (
        f"{section_of(name)}:\n  weights: none\n  schedule: {schedule}\n  channels: {CHANNELS}\n"
    )
    return text[: found.start()] + section + text[found.start() :]
