"""Import the weights of a published network.

Writes data/weights/NAME.safetensors under the names of the network here, a card beside it that
says where every tensor came from, and tracks the weights with `dvc add`. Nothing of a file is
passed over in silence: each tensor falls under a rule of the table that is printed.

A folder with a detector of transformers (RT-DETR, D-FINE) becomes data/weights/NAME/, whatever its
NAME is, for `detect.kind: transformers`.
"""

import json
import re
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from models.published.catalog import (
    PublishedNetwork,
    find_published,
    list_published,
    load_converted,
)
from models.published.hrnet import COCO_SCHEMES, select_head_rows
from models.published.rules import ConvertedWeights
from pipeline.base.atomic_file import write_file
from pipeline.importing.detector_folder import import_detector
from pipeline.importing.dvc_add import dvc_add
from pipeline.importing.joint_orders import JointOrder, joint_rows
from pipeline.importing.weights import check_sha256, read_published_weights, weight_files
from pipeline.networks.weights import REINITIALIZED_ROWS, write_weights
from pipeline.skeleton import JOINTS
from pipeline.units.receipts import hash_file

TAKEN = ("synthetic", "heads", "none")
"""Folders of data/weights that the project itself uses."""


def main(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="Checkpoint, or its folder.")],
    name: Annotated[str, typer.Option("--as", help="Network, such as hrnet_w48 or vitpose_l.")],
    sha256: Annotated[str, typer.Option(help="What FILE must be: 8 digits or more.")] = "",
    joints: Annotated[
        JointOrder | None, typer.Option(help="Keypoints of an HRNet's head; else by its naming.")
    ] = None,
    weights: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("data/weights"),
) -> None:
    """Write data/weights/NAME from a published checkpoint, strictly, with a card, and track it."""
    _refuse(source, name)
    if sha256:
        check_sha256(source, sha256)
    published = find_published(name, len(JOINTS))
    if joints and (published is None or published.family != "hrnet"):
        raise ValueError(f"--joints {joints}: expected with an HRNet alone, got --as {name}")
    weights.mkdir(parents=True, exist_ok=True)
    card: dict[str, Any] = {
        "command": f"posereel import-weights {source.name} --as {name}"
        + (f" --joints {joints}" if joints else ""),
        "source_sha256": {file.name: hash_file(file) for file in weight_files(source)},
    }
    if published is None:
        out = _import_folder(source, weights / name)
        card |= {"network": "detector of transformers"}
    else:
        out = weights / f"{name}.safetensors"
        card |= _import_file(source, published, joints, out)
    text = json.dumps(card, indent=1) + "\n"
    write_file(weights / f"{name}.json", text.encode())
    dvc_add(out)
    typer.echo(f"import-weights: wrote {out} and {weights / f'{name}.json'}")


def _refuse(source: Path, name: str) -> None:
    if not re.fullmatch(r"[a-z0-9][a-z0-9_]*", name) or name in TAKEN:
        raise ValueError(
            f"--as {name}: expected a word of small letters, digits and underscores, none of "
            f"{list(TAKEN)}; it names the files in data/weights"
        )
    if not source.exists():
        raise ValueError(f"{source}: expected a checkpoint, found nothing; check the path")
    if not Path(".dvc").is_dir():
        raise ValueError(
            f"{Path.cwd()}: expected the project's folder, which has .dvc, for weights are tracked "
            "there; change to it"
        )


def _import_folder(source: Path, out: Path) -> Path:
    """Take in a folder of transformers, once the library has loaded all of it."""
    if not source.is_dir():
        raise ValueError(
            f"--as {out.name}: expected one of {list_published()}, or a folder of transformers "
            f"with a detector under any name, got the file {source}"
        )
    # These seconds are for folders alone.
    from transformers import AutoImageProcessor, AutoModelForObjectDetection  # noqa: PLC0415

    def check(folder: Path) -> None:
        try:
            AutoImageProcessor.from_pretrained(folder, local_files_only=True)
            _, found = AutoModelForObjectDetection.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, output_loading_info=True
            )
        except (OSError, ValueError, RuntimeError) as error:
            raise ValueError(
                f"{source}: expected a detector of transformers, got {error}; save the model and "
                "its image processor there"
            ) from error
        faults = {key: sorted(map(str, names)) for key, names in found.items() if names}
        if faults:
            raise ValueError(
                f"{source}: expected every tensor to have its place, got {faults!r:.300}; save the "
                "model there again"
            )

    import_detector(source, out, check)
    return out


def _import_file(
    source: Path, published: PublishedNetwork, joints: JointOrder | None, out: Path
) -> dict[str, Any]:
    """Write the weights and return their part of the card."""
    converted = published.convert(read_published_weights(source, out.parent), str(source))
    facts: dict[str, Any] = {"network": published.family, "variant": published.variant}
    fresh: list[str] = []
    if published.family == "hrnet":
        order = joints or ("coco" if converted.naming in COCO_SCHEMES else "posetrack")
        rows = joint_rows(order)
        converted = select_head_rows(converted, rows, str(source))
        fresh = [joint for joint, row in rows.items() if row is None]
        facts |= {"keypoints": order, "joints": list(rows), REINITIALIZED_ROWS: fresh}
    tensors, converted = load_converted(published, converted, str(source))
    write_weights(out, tensors, {REINITIALIZED_ROWS: " ".join(fresh)} if fresh else None)
    _show(source, converted, facts)
    return facts | {
        "naming": converted.naming,
        "rules": [line._asdict() for line in converted.table],
        "tensors": len(tensors),
        "values": sum(tensor.numel() for tensor in tensors.values()),
        "sha256": hash_file(out),
    }


def _show(source: Path, converted: ConvertedWeights, facts: dict[str, Any]) -> None:
    table = Table(title=f"{source.name}: naming {converted.naming}", title_justify="left")
    for column in ("tensors", "action", "description", "example"):
        table.add_column(
            column, overflow="fold", justify="right" if column == "tensors" else "left"
        )
    for line in converted.table:
        table.add_row(str(line.tensors), line.action, line.description, line.example)
    console = Console(width=110)
    console.print(table)
    if fresh := facts.get(REINITIALIZED_ROWS):
        console.print(
            f"The head's keypoints are {facts['keypoints']}'s, so the rows {', '.join(fresh)} were "
            "drawn anew: they must be trained (finetune_backbone). If the file was trained on "
            "PoseTrack, say --joints posetrack."
        )
