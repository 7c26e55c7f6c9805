"""Checks of an installation, each with its finding and, where it fails, the cure."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipeline.base.dvc_files import read_config
from pipeline.base.params import read_params
from pipeline.data_set import read_data_set
from pipeline.manifest import read_manifest
from pipeline.strict_json import read_json
from pipeline.units.numerics import LOCK, installed, python_minor, read_pins
from pipeline.units.receipts import hash_file
from pipeline.units.scratch import Scratch, find_scratch

ENOUGH = 5e9
"""Free bytes below which even the embedded default may not fit beside its experiments."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check."""

    check: str
    well: bool
    found: str
    cure: str = ""
    """What to do where something is wrong; '' where nothing is."""


def guarded(check: str, examine: Callable[[], list[Finding]], cure: str) -> list[Finding]:
    """Run checks; bad input that keeps them from running is a finding too.

    Args:
        check: Name of the check.
        examine: Runs it.
        cure: What to do if it cannot run.
    """
    try:
        return examine()
    except (ValueError, OSError) as error:
        return [Finding(check, False, " ".join(str(error).split()), cure)]
    except (KeyError, TypeError) as error:
        return [Finding(check, False, f"the params file lacks something: {error!r}", cure)]


def examine_versions(project: Path) -> list[Finding]:
    """Compare the environment with the pins of numerics.lock."""
    pins = read_pins(project)
    findings = [Finding("python", True, python_minor())]
    for name, pinned in sorted(pins.items()):
        found = installed(name)
        same = found == pinned
        findings.append(
            Finding(
                name,
                same,
                found if same else f"{found}, {LOCK} pins {pinned}",
                "" if same else "make setup",
            )
        )
    return findings


def examine_links(scratch: Scratch) -> list[Finding]:
    """Check that files are one inode in scratch, workspace and DVC's cache."""
    scratch.refuse_copies(scratch.project / "data" / "probe")
    return [Finding("links", True, "hardlinks between workspace, DVC's cache and scratch")]


def examine_space(scratch: Scratch) -> list[Finding]:
    """Check the free space of the file system of the cache."""
    free = shutil.disk_usage(scratch.project).free
    well = free >= ENOUGH
    cure = "posereel gc --yes, dvc gc --workspace, or a larger disk (posereel plan)"
    return [Finding("free space", well, f"{free / 1e9:.1f} GB", "" if well else cure)]


def examine_remotes(project: Path) -> list[Finding]:
    """Check that DVC compares what it fetches with its hash (``verify = true``, off by default)."""
    findings = []
    for section, values in read_config(project).items():
        kind, _, name = section.partition(" ")
        if kind == "remote":
            name = name.strip('"')
            well = values.get("verify", "false").lower() == "true"
            found = values.get("url", "no url") + ("" if well else ", unverified")
            cure = "" if well else f"dvc remote modify {name} verify true"
            findings.append(Finding(f"remote {name}", well, found, cure))
    return findings or [Finding("remote", True, "none")]


def examine_weights(params: Path) -> list[Finding]:
    """Check the weights files that the params name, and their digests against their cards."""
    values = read_params(params)
    paths = {
        "finetune_backbone": values["finetune_backbone"]["weights"],
        "flow": values["flow"]["weights"],
        "tokens": values["tokens"]["weights"],
    }
    if values["detect"]["kind"] in {"torchvision", "transformers"}:
        paths["detect"] = values["detect"]["weights"]
    for stage in ("train_jmpose", "train_vremd"):
        if (given := values[stage]["weights"]) != "none":
            system = stage.removeprefix("train_")
            paths[stage] = f"data/weights/{given}/{system}.safetensors"
    return [_weights_finding(stage, Path(path)) for stage, path in sorted(paths.items())]


def _weights_finding(stage: str, path: Path) -> Finding:
    check = f"weights of {stage}"
    if not path.exists():
        cure = f"posereel import-weights FILE --as NAME, or name others: {stage}.weights"
        return Finding(check, False, f"{path} is not there", cure)
    if path.is_dir():
        return Finding(check, True, str(path))
    digest, card = hash_file(path), path.with_suffix(".json")
    content = read_json(card) if card.is_file() else {}
    listed = content.get("sha256") if isinstance(content, dict) else None
    if listed not in (None, digest):
        cure = "git checkout the file and its card, or import it again"
        return Finding(check, False, f"{path}: {digest[:12]}, its card says {listed!s:.12}", cure)
    known = "" if listed else ", its card has no digest"
    return Finding(check, True, f"{path} (sha256 {digest[:12]}{known})")


def examine_data(params: Path) -> list[Finding]:
    """Check that annotations, manifest and frames of the data set are where the params say."""
    data = read_data_set(params)
    check = f"data set {data.name}"
    manifest = Path(data.manifest)
    if not manifest.is_file():
        synthetic = data.name == "synthetic"
        cure = "dvc repro render" if synthetic else "posereel use-preset NAME --root DIR"
        return [Finding(check, synthetic, f"{manifest} is not there yet", cure)]
    entries = read_manifest(manifest)
    missing = [name for name in entries if not (Path(data.root) / name).is_file()]
    if missing:
        found = f"{len(missing)} of {len(entries)} frames are not below {data.root}: {missing[0]}"
        return [Finding(check, False, found, "mount the data set, or set data.root in params.yaml")]
    return [Finding(check, True, f"{len(entries)} frames below {data.root}")]


def examine(params: Path, networks: Callable[[], list[Finding]]) -> list[Finding]:
    """Run every check.

    Args:
        params: The params file.
        networks: Checks of torch and its operators.
    """
    scratch = find_scratch(Path())
    setup, restore = "make setup", "git restore params.yaml"
    return [
        *guarded("versions", lambda: examine_versions(scratch.project), setup),
        *guarded("torch", networks, setup),
        *guarded("links", lambda: examine_links(scratch), "see the finding"),
        *guarded("free space", lambda: examine_space(scratch), "see the finding"),
        *guarded("remotes", lambda: examine_remotes(scratch.project), "mend .dvc/config"),
        *guarded("weights", lambda: examine_weights(params), restore),
        *guarded("data set", lambda: examine_data(params), restore),
    ]
