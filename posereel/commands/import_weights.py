"""Import the weights of a published network.

Writes data/weights/NAME.safetensors with the tensor names of this project,
and a card that lists the source of every tensor. Tracks the
weights with `dvc add`. Every tensor of the file is covered by a rule of the
table that is printed.

NAME is a network:

- hrnet_w32, hrnet_w48: official code, mmpose, DCPose, FAMI-Pose

- vitpose_s, vitpose_b, vitpose_l, vitpose_h: official code, mmpose,
Poseidon, a folder of transformers; a ViTPose+ with --expert

- raft_large, raft_small: official code, torchvision

- fasterrcnn_mobilenet_v3_large_320_fpn, fasterrcnn_mobilenet_v3_large_fpn,
fasterrcnn_resnet50_fpn, fasterrcnn_resnet50_fpn_v2, fcos_resnet50_fpn,
maskrcnn_resnet50_fpn, maskrcnn_resnet50_fpn_v2, retinanet_resnet50_fpn,
retinanet_resnet50_fpn_v2, ssd300_vgg16, ssdlite320_mobilenet_v3_large:
torchvision

A folder with a detector of transformers (RT-DETR, D-FINE) becomes
data/weights/NAME/ under any NAME, for `detect.kind: transformers`.
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
    expert: Annotated[
        Literal["coco", "aic", "mpii", "ap10k", "apt36k", "wholebody"] | None,
        typer.Option(help="Expert of a ViTPose+: the data set that it was trained on."),
    ] = None,
    weights: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("data/weights"),
) -> None:
    """Write data/weights/NAME from a published checkpoint, with a card, and track it."""
    from posereel.published_weights import import_weights

    out, card = import_weights(source, name, weights, sha256=sha256, joints=joints, expert=expert)
    if "rules" in card:
        _print_rules(source, card)
    if "keypoints" in card:
        typer.echo(_describe_keypoints(card, chosen=joints is not None))
    typer.echo(f"import-weights: wrote {out} and {weights / f'{name}.json'}")


def _print_rules(source: Path, card: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{source.name}: naming {card['naming']}", title_justify="left")
    for column in ("tensors", "action", "description", "example"):
        table.add_column(
            column, overflow="fold", justify="right" if column == "tensors" else "left"
        )
    for rule in card["rules"]:
        table.add_row(*(str(rule[column.header]) for column in table.columns))
    Console(width=110).print(table)


def _describe_keypoints(card: dict[str, Any], *, chosen: bool) -> str:
    """Return what the rows of the head were taken for, and how to correct it."""
    from pipeline.core.networks.weights import REINITIALIZED_ROWS

    titles = {"coco": "COCO", "posetrack": "PoseTrack"}
    order = card["keypoints"]
    lines = [f"The rows of the head are the keypoints of {titles[order]}."]
    if not chosen:
        other = "posetrack" if order == "coco" else "coco"
        lines = [f"The rows of the head are assumed to be the keypoints of {titles[order]}:"]
        lines.append(f"this is usual for the naming {card['naming']}.")
        lines.append(f"If the network was trained on {titles[other]},")
        if other == "coco":
            lines.append("like the one inside DCPose's model for PoseTrack17,")
        lines.append(f"import the file again with --joints {other}.")
    if missing := card.get(REINITIALIZED_ROWS):
        lines.append(f"The rows {', '.join(missing)} were initialized randomly:")
        lines.append("they must be trained (finetune_backbone).")
    return " ".join(lines)
