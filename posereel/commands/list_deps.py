"""Rewrite the code dependencies of all stages in dvc.yaml.

A folder whose files all belong to the import closure is listed as one dependency.
"""

from pathlib import Path
from typing import Annotated, Any

import typer
from ruamel.yaml import YAML

from pipeline.units.closure import import_closure, is_code, with_whole_folders

NUMERICS = "numerics.lock"


def main(
    dvcfile: Annotated[Path, typer.Option(help="The DAG to rewrite.")] = Path("dvc.yaml"),
) -> None:
    """Set the deps of each stage to the import closure of its module and numerics.lock."""
    yaml = YAML()
    yaml.width = 4096
    yaml.indent(mapping=2, sequence=4, offset=2)
    dag = yaml.load(dvcfile.read_text(encoding="utf-8"))
    for name, stage in dag["stages"].items():
        body = stage.get("do", stage)
        code = with_whole_folders(import_closure(f"stages.{name}", Path()), Path())
        body["deps"] = _with_code(body["deps"], code)
    yaml.dump(dag, dvcfile)
    typer.echo(f"list-deps: wrote the code dependencies of {len(dag['stages'])} stages")


def _with_code(deps: list[Any], code: list[Path]) -> list[Any]:
    data = [dep for dep in deps if not is_code(dep) and dep != NUMERICS]
    return [*(path.as_posix() for path in code), NUMERICS, *data]
