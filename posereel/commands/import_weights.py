"""Import the weights of a published network.

Writes data/weights/NAME.safetensors with the tensor names of this project, and a card beside it
that says where every tensor came from. Tracks the weights with `dvc add`. Every tensor of the file
is covered by a rule of the table that is printed.

A folder with a detector of transformers (RT-DETR, D-FINE) becomes data/weights/NAME/ under any
NAME, for `detect.kind: transformers`.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer


def main(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="Checkpoint, or its folder.")],
    name: Annotated[str, typer.Option("--as", help="Network, such as hrnet_w48 or vitpose_l.")],
    sha256: Annotated[str, typer.Option(help="Expected SHA-256: 8 digits or more.")] = "",
    joints: Annotated[
        Literal["coco", "posetrack"] | None,
        typer.Option(help="Keypoints of an HRNet's head; by default from its naming scheme."),
    ] = None,
    weights: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("data/weights"),
) -> None:
    """Write data/weights/NAME from a published checkpoint, with a card, and track it."""
    from posereel.published_weights import import_weights

    out, card = import_weights(source, name, sha256, joints, weights)
    if "rules" in card:
        _print_rules(source, card)
    typer.echo(f"import-weights: wrote {out} and {weights / f'{name}.json'}")


def _print_rules(source: Path, card: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    from pipeline.core.networks.weights import REINITIALIZED_ROWS

    table = Table(title=f"{source.name}: naming {card['naming']}", title_justify="left")
    for column in ("tensors", "action", "description", "example"):
        table.add_column(
            column, overflow="fold", justify="right" if column == "tensors" else "left"
        )
    for rule in card["rules"]:
        table.add_row(*(str(rule[column.header]) for column in table.columns))
    console = Console(width=110)
    console.print(table)
    if fresh := card.get(REINITIALIZED_ROWS):
        console.print(
            f"The head's keypoints are {card['keypoints']}'s, so the rows {', '.join(fresh)} were "
            "initialized randomly: they must be trained (finetune_backbone). If the file was "
            "trained on PoseTrack, pass --joints posetrack."
        )
