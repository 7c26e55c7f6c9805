"""Copy the heads of the last run to data/weights/heads.

Writes each head in float16, with a card that records its training data and its scores.
"""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.core.atomic_file import write_file
from pipeline.core.units.receipts import hash_file


def main(
    data: Annotated[Path, typer.Option(help="Folder of all outputs.")] = Path("data"),
    name: Annotated[str, typer.Option(help="Folder below data/weights.")] = "heads",
) -> None:
    """Write data/weights/NAME/<system>.safetensors and a card for every trained system."""
    from models.head_parts.lookup import listed_systems
    from pipeline.core.networks.weights import read_weights, write_weights

    systems = [name for name, system in listed_systems().items() if system.trained]
    for system in systems:
        source = data / "runs" / system / "weights.safetensors"
        tensors = read_weights(source)
        half = {
            key: tensor.half() if tensor.is_floating_point() else tensor
            for key, tensor in tensors.items()
        }
        out = data / "weights" / name / f"{system}.safetensors"
        write_weights(out, half)
        card = json.dumps(_card(data, system, out), indent=1, sort_keys=True) + "\n"
        write_file(out.with_suffix(".json"), card.encode())
    typer.echo(f"ship-heads: wrote {len(systems)} heads to {data / 'weights' / name}")


def _card(data: Path, system: str, out: Path) -> dict[str, Any]:
    metrics = json.loads((data / "metrics" / f"{system}.json").read_text(encoding="utf-8"))
    facts = data / "metrics" / f"{system}.provenance.json"
    provenance = json.loads(facts.read_text(encoding="utf-8"))
    return {
        "command": "dvc repro; posereel ship-heads",
        "data_set": provenance["data_set"],
        "labels": provenance["labels"],
        "reached": {split: metrics[split]["ap_total"] for split in ("val", "val_gt")},
        "seed": provenance["seed"],
        "sha256": hash_file(out),
        "trained_weights_sha256": provenance["weights_sha256"],
    }
