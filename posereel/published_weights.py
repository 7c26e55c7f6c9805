"""Import of the weights of published networks, as ``posereel import-weights`` does it."""

import json
import re
from pathlib import Path
from typing import Any

from models.published.catalog import (
    PublishedNetwork,
    find_published,
    list_published,
    load_converted,
)
from models.published.hrnet import COCO_SCHEMES, select_head_rows
from pipeline.core.atomic_file import write_file
from pipeline.core.networks.weights import REINITIALIZED_ROWS, write_weights
from pipeline.core.skeleton import JOINTS
from pipeline.core.units.receipts import hash_file
from pipeline.importing.detector_folder import import_detector
from pipeline.importing.dvc_add import dvc_add
from pipeline.importing.joint_orders import JointOrder, joint_rows
from pipeline.importing.weights import check_sha256, read_published_weights, weight_files

RESERVED = ("synthetic", "heads", "none")
"""Folders of data/weights that the project itself uses."""


def import_weights(
    source: Path, name: str, sha256: str, joints: JointOrder | None, folder: Path
) -> tuple[Path, dict[str, Any]]:
    """Write weights under the names of the networks of this project and track them with DVC.

    Args:
        source: A checkpoint, or a folder in the format of transformers.
        name: The network, such as ``hrnet_w48``; any name for a detector of transformers.
        sha256: First digits of the checkpoint's SHA-256, or an empty string.
        joints: Order of the keypoints of an HRNet's head; None: as its naming scheme implies.
        folder: Folder to write to.

    Returns:
        What was written, a file or a folder, and the content of its card.

    Raises:
        ValueError: If the name, the checkpoint or one of its tensors does not fit.
    """
    _check_arguments(source, name)
    if sha256:
        check_sha256(source, sha256)
    published = find_published(name, len(JOINTS))
    if joints and (published is None or published.family != "hrnet"):
        raise ValueError(f"--joints {joints}: expected with an HRNet only, got --as {name}")
    folder.mkdir(parents=True, exist_ok=True)
    card: dict[str, Any] = {
        "command": f"posereel import-weights {source.name} --as {name}"
        + (f" --joints {joints}" if joints else ""),
        "source_sha256": {file.name: hash_file(file) for file in weight_files(source)},
    }
    if published is None:
        out = _import_folder(source, folder / name)
        card |= {"network": "detector of transformers"}
    else:
        out = folder / f"{name}.safetensors"
        card |= _import_file(source, published, joints, out)
    text = json.dumps(card, indent=1) + "\n"
    write_file(folder / f"{name}.json", text.encode())
    dvc_add(out)
    return out, card


def _check_arguments(source: Path, name: str) -> None:
    if not re.fullmatch(r"[a-z0-9][a-z0-9_]*", name) or name in RESERVED:
        raise ValueError(
            f"--as {name}: expected lowercase letters, digits and underscores, and none of "
            f"{list(RESERVED)}; it names the files in data/weights"
        )
    if not source.exists():
        raise ValueError(f"{source}: expected a checkpoint, found nothing; check the path")
    if not Path(".dvc").is_dir():
        raise ValueError(
            f"{Path.cwd()}: expected the root of the repository, which has .dvc, because the "
            "weights are tracked there; change to it"
        )


def _import_folder(source: Path, out: Path) -> Path:
    """Copy a folder of transformers after the library has loaded all of it."""
    if not source.is_dir():
        raise ValueError(
            f"--as {out.name}: expected one of {list_published()}, or a folder of transformers "
            f"with a detector under any name, got the file {source}"
        )
    # Only folders need this library, which takes seconds to import.
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
                f"{source}: expected every tensor to match the model, got {faults!r:.300}; save "
                "the model there again"
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
    return facts | {
        "naming": converted.naming,
        "rules": [line._asdict() for line in converted.table],
        "tensors": len(tensors),
        "values": sum(tensor.numel() for tensor in tensors.values()),
        "sha256": hash_file(out),
    }
