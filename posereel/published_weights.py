"""Import of the weights of published networks, as ``posereel import-weights`` does it."""

import json
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from models.published.catalog import (
    PublishedNetwork,
    find_published,
    list_published,
    load_converted,
)
from models.published.hrnet import COCO_SCHEMES, select_head_rows
from models.published.rules import ConvertedWeights
from models.published.vit import select_expert
from pipeline.core.networks.weights import REINITIALIZED_ROWS, write_weights
from pipeline.core.skeleton import JOINTS
from pipeline.core.strict_json import read_json
from pipeline.core.units.receipts import hash_file
from pipeline.importing.detector_folder import copy_detector
from pipeline.importing.dvc_add import move_and_track
from pipeline.importing.joint_orders import JointOrder, joint_rows
from pipeline.importing.weights import check_sha256, read_published_weights, weight_files

RESERVED = ("synthetic", "heads", "none")
"""Folders of data/weights that the project itself uses."""


def import_weights(
    source: Path,
    name: str,
    folder: Path,
    *,
    sha256: str = "",
    joints: JointOrder | None = None,
    expert: str | None = None,
) -> tuple[Path, dict[str, Any]]:
    """Write weights under the names of the networks of this project and track them with DVC.

    If an import fails, the files of an earlier import are unchanged.

    Args:
        source: A checkpoint, or a folder in the format of transformers.
        name: The network, such as ``hrnet_w48``; any name for a detector of transformers.
        folder: Folder to write to.
        sha256: First digits of the checkpoint's SHA-256, or an empty string.
        joints: Order of the keypoints of an HRNet's head; None: as its naming scheme implies.
        expert: Expert of a ViTPose+, one of ``models.published.vit.EXPERTS``.

    Returns:
        What was written, a file or a folder, and the content of its card.

    Raises:
        ValueError: If the name, the checkpoint or one of its tensors does not fit, or DVC cannot
            track the result.
    """
    published = find_published(name, len(JOINTS))
    _check_arguments(source, name, published)
    _check_options(name, published, joints, expert)
    if sha256:
        check_sha256(source, sha256)
    options = [("joints", joints), ("expert", expert)]
    given = "".join(f" --{option} {value}" for option, value in options if value)
    card: dict[str, Any] = {
        "command": f"posereel import-weights {source.name} --as {name}{given}",
        "source_sha256": {file.name: hash_file(file) for file in weight_files(source)},
    }
    out = folder / (name if published is None else f"{name}.safetensors")
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".import-", dir=folder) as scratch:
        made = Path(scratch)
        if published is None:
            copy_detector(source, made / out.name)
            _check_detector(source, made / out.name)
            card |= {"network": "detector of transformers"}
        else:
            card |= _import_file(source, published, joints, expert, made / out.name)
        (made / f"{name}.json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
        move_and_track(made, folder, out.name)
    return out, card


def _check_arguments(source: Path, name: str, published: PublishedNetwork | None) -> None:
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
    if published is None and not source.is_dir():
        raise ValueError(
            f"--as {name}: expected one of {list_published()}, or a folder of transformers "
            f"with a detector under any name, got the file {source}"
        )


def _check_options(
    name: str, published: PublishedNetwork | None, joints: JointOrder | None, expert: str | None
) -> None:
    family = None if published is None else published.family
    for option, value, network, wanted in (
        ("joints", joints, "an HRNet", "hrnet"),
        ("expert", expert, "a ViTPose", "vit"),
    ):
        if value and family != wanted:
            raise ValueError(f"--{option} {value}: expected with {network} only, got --as {name}")


def _check_detector(source: Path, folder: Path) -> None:
    """Check that transformers can load all of a detector."""
    # Only folders need this library, which takes seconds to import.
    from transformers import AutoImageProcessor, AutoModelForObjectDetection  # noqa: PLC0415

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


def _import_file(
    source: Path,
    published: PublishedNetwork,
    joints: JointOrder | None,
    expert: str | None,
    out: Path,
) -> dict[str, Any]:
    """Write the weights and return their part of the card."""
    tensors = read_published_weights(source, out.parent)
    facts: dict[str, Any] = {"network": published.family, "variant": published.variant}
    missing: list[str] = []
    if published.family == "vit":
        tensors, steps = select_expert(tensors, expert, str(source))
        converted = published.convert(tensors, str(source))
        converted = _with_configured_epsilon(converted, source)
        converted = converted._replace(table=(*steps, *converted.table))
        facts |= {"expert": expert} if expert else {}
    else:
        converted = published.convert(tensors, str(source))
    if published.family == "hrnet":
        order = joints or ("coco" if converted.naming in COCO_SCHEMES else "posetrack")
        rows = joint_rows(order)
        converted = select_head_rows(converted, rows, str(source))
        missing = [joint for joint, row in rows.items() if row is None]
        facts |= {"keypoints": order, "joints": list(rows), REINITIALIZED_ROWS: missing}
    values, converted = load_converted(published, converted, str(source))
    write_weights(out, values, {REINITIALIZED_ROWS: " ".join(missing)} if missing else None)
    return facts | {
        "naming": converted.naming,
        "rules": [line._asdict() for line in converted.table],
        "tensors": len(values),
        "values": sum(tensor.numel() for tensor in values.values()),
        "sha256": hash_file(out),
    }


def _with_configured_epsilon(converted: ConvertedWeights, source: Path) -> ConvertedWeights:
    """Return the conversion with the LayerNorm epsilon in the configuration of transformers."""
    config = source / "config.json"
    if not source.is_dir() or not config.is_file():
        return converted
    epsilon = read_json(config).get("backbone_config", {}).get("layer_norm_eps")
    return converted if epsilon is None else converted._replace(layer_norm_epsilon=float(epsilon))
