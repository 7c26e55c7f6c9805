"""Checks of an installation; every failed check has a remedy."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.data_set import read_data_set
from pipeline.core.dvc_files import read_config
from pipeline.core.manifest import read_manifest
from pipeline.core.params import read_params
from pipeline.core.strict_json import read_json
from pipeline.core.system_params import NO_WEIGHTS, WEIGHTS, section_of
from pipeline.core.units.numerics import LOCK, installed, python_minor, read_pins
from pipeline.core.units.receipts import hash_file
from pipeline.core.units.scratch import Scratch, find_scratch

MIN_FREE = 5e9
"""Free bytes that the default run and its experiments need."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check."""

    check: str
    ok: bool
    found: str
    cure: str = ""
    """What to do after a failed check; '' after a passed one."""


def guarded(check: str, examine: Callable[[], list[Finding]], cure: str) -> list[Finding]:
    """Run checks; invalid input that prevents a check is a finding, too.

    Args:
        check: Name of the check.
        examine: Function that runs it.
        cure: What to do if it cannot run.
    """
    try:
        return examine()
    except (ValueError, OSError) as error:
        return [Finding(check, False, " ".join(str(error).split()), cure)]
    except (KeyError, TypeError) as error:
        return [Finding(check, False, f"invalid params file: {error!r}", cure)]


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
    """Check that scratch, workspace and DVC's cache can share inodes."""
    scratch.check_hardlinks(scratch.project / "data" / "probe")
    return [Finding("links", True, "hardlinks between workspace, DVC's cache and scratch")]


def examine_space(scratch: Scratch) -> list[Finding]:
    """Check the free space of the file system of the cache."""
    free = shutil.disk_usage(scratch.project).free
    ok = free >= MIN_FREE
    cure = "posereel gc --yes, dvc gc --workspace, or a larger disk (posereel plan)"
    return [Finding("free space", ok, f"{free / 1e9:.1f} GB", "" if ok else cure)]


def examine_remotes(project: Path) -> list[Finding]:
    """Check that DVC verifies the hashes of fetched files (``verify = true``, off by default)."""
    findings = []
    for section, values in read_config(project).items():
        kind, _, name = section.partition(" ")
        if kind == "remote":
            name = name.strip('"')
            ok = values.get("verify", "false").lower() == "true"
            found = values.get("url", "no url") + ("" if ok else ", unverified")
            cure = "" if ok else f"dvc remote modify {name} verify true"
            findings.append(Finding(f"remote {name}", ok, found, cure))
    return findings or [Finding("remote", True, "none")]


def examine_weights(params: Path) -> list[Finding]:
    """Check that the weights in params exist and that their digests match their cards."""
    values = read_params(params)
    paths = {
        "finetune_backbone": values["finetune_backbone"]["weights"],
        "flow": values["flow"]["weights"],
        "tokens": values["tokens"]["weights"],
    }
    if values["detect"]["kind"] in {"torchvision", "transformers"}:
        paths["detect"] = values["detect"]["weights"]
    for section in (name for name in values if name.startswith(section_of(""))):
        system = section.removeprefix(section_of(""))
        if (given := values[section].get(WEIGHTS, NO_WEIGHTS)) != NO_WEIGHTS:
            paths[section] = f"data/weights/{given}/{system}.safetensors"
    return [_weights_finding(stage, Path(path)) for stage, path in sorted(paths.items())]


def _weights_finding(stage: str, path: Path) -> Finding:
    check = f"weights of {stage}"
    if not path.exists():
        cure = f"posereel import-weights FILE --as NAME, or change {stage}.weights"
        return Finding(check, False, f"{path} does not exist", cure)
    if path.is_dir():
        return Finding(check, True, str(path))
    digest, card = hash_file(path), path.with_suffix(".json")
    content = read_json(card) if card.is_file() else {}
    listed = content.get("sha256") if isinstance(content, dict) else None
    if listed not in (None, digest):
        cure = "restore the file and its card with git checkout, or import it again"
        return Finding(check, False, f"{path}: {digest[:12]}, its card says {listed!s:.12}", cure)
    known = "" if listed else ", its card has no digest"
    return Finding(check, True, f"{path} (sha256 {digest[:12]}{known})")


def examine_data(params: Path) -> list[Finding]:
    """Check that the manifest and the frames of the data set exist at the paths in params."""
    data = read_data_set(params)
    check = f"data set {data.name}"
    manifest = Path(data.manifest)
    if not manifest.is_file():
        synthetic = data.name == "synthetic"
        cure = "dvc repro render" if synthetic else "posereel use-preset NAME --root DIR"
        return [Finding(check, synthetic, f"{manifest} does not exist", cure)]
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
        networks: Function that checks torch and its operators.
    """
    scratch = find_scratch(Path())
    setup, restore = "make setup", "git restore params.yaml"
    return [
        *guarded("versions", lambda: examine_versions(scratch.project), setup),
        *guarded("torch", networks, setup),
        *guarded("links", lambda: examine_links(scratch), "see the finding"),
        *guarded("free space", lambda: examine_space(scratch), "see the finding"),
        *guarded("remotes", lambda: examine_remotes(scratch.project), "correct .dvc/config"),
        *guarded("weights", lambda: examine_weights(params), restore),
        *guarded("data set", lambda: examine_data(params), restore),
    ]
