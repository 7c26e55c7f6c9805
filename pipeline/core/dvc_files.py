"""Read the files of DVC: config, ``dvc.lock``, ``.dvc`` files and cached objects.

This module does not import dvc. The name of an object is the MD5 of its content. The object of a
folder has the suffix ``.dir`` and lists the files of the folder (dvc_data/hashfile/tree.py).
"""

import configparser
import hashlib
import json
import os
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

FOLDER = ".dir"
"""Suffix of the hash of a folder."""


def read_config(project: Path) -> dict[str, dict[str, str]]:
    """Return DVC's settings by section; later files override earlier ones (dvc/config.py).

    Args:
        project: Folder that contains ``.dvc``.

    Returns:
        Values without quotes by section, such as ``cache`` or ``remote "name"``, and by name. The
        value ``dir`` of ``cache`` is an absolute path.

    Raises:
        ValueError: If a file cannot be parsed.
    """
    config = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "dvc"
    system = Path(os.environ.get("DVC_SYSTEM_CONFIG_DIR") or "/etc/xdg/dvc")
    user = Path(os.environ.get("DVC_GLOBAL_CONFIG_DIR") or config)
    local = project / ".dvc"
    settings: dict[str, dict[str, str]] = {}
    for file in (system / "config", user / "config", local / "config", local / "config.local"):
        for section, values in _read_config_file(file).items():
            if section == "cache" and "dir" in values:
                # A relative path is relative to the config file that has it.
                path = file.parent / Path(values["dir"]).expanduser()
                values["dir"] = os.path.normpath(path)
            settings.setdefault(section, {}).update(values)
    return settings


def _read_config_file(file: Path) -> dict[str, dict[str, str]]:
    parser = configparser.RawConfigParser(strict=False, inline_comment_prefixes=("#",))
    try:
        parser.read(file, encoding="utf-8")
    except configparser.Error as error:
        raise ValueError(f"{file}: not a config file of DVC: {error}") from error
    return {
        section.strip("'"): {name: value.strip("\"'") for name, value in parser.items(section)}
        for section in parser.sections()
    }


@dataclass(frozen=True, slots=True)
class LockedStage:
    """One stage as it last ran, or one ``.dvc`` file."""

    name: str
    """Name in DVC, such as ``flow@train``; the path of a ``.dvc`` file."""
    command: tuple[str, ...]
    """Words of its command; empty for a ``.dvc`` file."""
    deps: tuple[str, ...]
    """Paths of its dependencies, relative to the project."""
    outs: Mapping[str, str]
    """Hash of every output by its path relative to the project."""


def read_lock(project: Path) -> list[LockedStage]:
    """Return the stages of ``dvc.lock`` in its order; none if it is missing.

    Raises:
        ValueError: If the file is malformed, for example by a merge with conflicts.
    """
    path = project / "dvc.lock"
    if not path.is_file():
        return []
    try:
        text = path.read_text(encoding="utf-8")
        _check_merged(text)
        content = YAML(typ="safe").load(text)
        return [
            LockedStage(
                name,
                tuple(shlex.split(stage.get("cmd", ""))),
                tuple(dep["path"] for dep in stage.get("deps", ())),
                {o["path"]: o["md5"] for o in stage.get("outs", ()) if stays_below(o["path"])},
            )
            for name, stage in content["stages"].items()
        ]
    except (OSError, ValueError, YAMLError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path}: expected what DVC recorded of the last run, got {error}; restore the file "
            "(git restore dvc.lock) or resolve the merge, then run: dvc repro"
        ) from error


def _check_merged(text: str) -> None:
    if conflict := re.search("^<<<<<<< .*", text, re.MULTILINE):
        raise ValueError(f"a conflict of git ({conflict[0]!r})")


def read_added(project: Path, below: str = "data") -> list[LockedStage]:
    """Return the outputs that ``dvc add`` tracks, one stage without a command per ``.dvc`` file.

    Args:
        project: Folder of the project.
        below: Folder to search.

    Raises:
        ValueError: If a ``.dvc`` file is malformed.
    """
    stages = []
    for file in sorted((project / below).rglob("*.dvc")):
        where = file.relative_to(project)
        try:
            content = YAML(typ="safe").load(file.read_text(encoding="utf-8"))
            outs = {(where.parent / o["path"]).as_posix(): o["md5"] for o in content["outs"]}
        except (OSError, YAMLError, KeyError, TypeError) as error:
            raise ValueError(
                f"{file}: expected a file of `dvc add`, got {error!r}; run it again"
            ) from error
        stages.append(LockedStage(where.as_posix(), (), (), outs))
    return stages


def stays_below(path: str) -> bool:
    """Return whether a path is relative and stays below its start."""
    return not path.startswith("/") and ".." not in path.split("/") and "\0" not in path


def object_path(cache: Path, digest: str) -> Path:
    """Return the path of an object in DVC's cache, whether it exists or not."""
    return cache / "files" / "md5" / digest[:2] / digest[2:]


def read_object(cache: Path, digest: str) -> object:
    """Return the JSON content of an object; None if it is missing or damaged."""
    try:
        content = object_path(cache, digest).read_bytes()
        return json.loads(content) if md5(content) == digest.removesuffix(FOLDER) else None
    except (OSError, ValueError):
        return None


def files_of(cache: Path, digest: str) -> dict[str, str] | None:
    """Return the MD5 of every file of an output by its path below the output.

    Args:
        cache: Folder of DVC's cache.
        digest: Hash of the output. The path of an output that is a single file is ``''``.

    Returns:
        The files; None if the list of a folder is missing, damaged or malformed.
    """
    if not digest.endswith(FOLDER):
        return {"": digest}
    entries = read_object(cache, digest)
    if not isinstance(entries, list):
        return None
    files = dict(_entries(entries))
    # Objects may come from a remote: reject paths that lead outside the output.
    return files if all(map(stays_below, files)) else None


def encode_files(files: Mapping[str, str]) -> bytes:
    """Return the content of the object that lists the files of a folder, as DVC writes it."""
    return json.dumps([{"md5": files[path], "relpath": path} for path in sorted(files)]).encode()


def md5(content: bytes) -> str:
    """Return the MD5 of bytes, DVC's name for them; it is no protection against attacks."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _entries(entries: list[object]) -> Iterator[tuple[str, str]]:
    for entry in entries:
        if isinstance(entry, dict):
            path, digest = entry.get("relpath"), entry.get("md5")
            if isinstance(path, str) and isinstance(digest, str):
                yield path, digest
