"""Archives of finished units, to join those of machines without a common file system."""

import io
import re
import shutil
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.units.receipts import FILES, RECEIPT, Receipt, check, read_receipt, seal
from pipeline.core.units.scratch import RESERVED, Scratch

_UNIT = re.compile(r"[a-z_]+/[0-9a-f]{64}")
"""Stage and key of a unit, the name of its folder in scratch and in an archive."""


@dataclass(frozen=True, slots=True)
class Unpacked:
    """Units of an archive by what became of them."""

    added: tuple[str, ...]
    known: tuple[str, ...]
    """Units that scratch has already; they are left as they are."""


def pack_units(scratch: Scratch, archive: Path, stages: Sequence[str]) -> list[str]:
    """Write the finished units of scratch to a tar file; every file is hashed first.

    Args:
        scratch: The scratch store.
        archive: File to write; it must not exist.
        stages: Stages to pack; all if empty.

    Returns:
        Stage and key of the units.

    Raises:
        ValueError: If the file exists or there is no finished unit.
    """
    if archive.exists():
        raise ValueError(f"{archive}: expected a new file, found one; remove it or choose another")
    units = [unit for unit in _units(scratch) if not stages or unit.partition("/")[0] in stages]
    found = {u: r for u in units if (r := check(scratch.folder / u, deep=True)) is not None}
    if not found:
        raise ValueError(f"{scratch.folder}: expected finished units to pack, found none")
    partial = archive.with_name(archive.name + ".partial")
    with tarfile.open(partial, "w") as tar:
        for unit, receipt in found.items():
            folder = scratch.folder / unit
            for file in (RECEIPT, *(f"{FILES}/{path}" for path in receipt.files)):
                content = (folder / file).read_bytes()
                member = tarfile.TarInfo(f"{unit}/{file}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    partial.replace(archive)
    return list(found)


def unpack_units(scratch: Scratch, archive: Path) -> Unpacked:
    """Add the units of an archive to scratch, each as a whole and verified.

    A unit that scratch has is not touched. The files of a unit must have the digests of its
    receipt, so a damaged archive adds no damaged unit.

    Args:
        scratch: The scratch store.
        archive: File of ``pack_units``.

    Raises:
        ValueError: If the file is no such archive or a unit in it is damaged; units before it stay.
    """
    added, known = [], []
    try:
        with tarfile.open(archive, "r:") as tar:
            members = [(member, *_split(archive, member)) for member in tar.getmembers()]
            for unit in dict.fromkeys(unit for _, unit, _ in members):
                with scratch.lock(unit.replace("/", "-")):
                    if check(scratch.folder / unit) is not None:
                        known.append(unit)
                        continue
                    files = {file: _read(tar, member) for member, u, file in members if u == unit}
                    _add(scratch, archive, unit, files)
                    added.append(unit)
    except (tarfile.TarError, OSError) as error:
        raise ValueError(
            f"{archive}: expected an archive of `posereel units pack`, got {error}; copy it again"
        ) from error
    return Unpacked(tuple(added), tuple(known))


def _units(scratch: Scratch) -> Iterator[str]:
    for folder in sorted(scratch.folder.glob("*/*")):
        name = folder.relative_to(scratch.folder).as_posix()
        if folder.parent.name not in RESERVED and _UNIT.fullmatch(name):
            yield name


def _split(archive: Path, member: tarfile.TarInfo) -> tuple[str, str]:
    """Return the unit of a member and the path of its file in the folder of the unit."""
    parts = member.name.split("/")
    unit, file = "/".join(parts[:2]), "/".join(parts[2:])
    inside = file == RECEIPT or (file.startswith(f"{FILES}/") and ".." not in parts)
    if not (member.isfile() and _UNIT.fullmatch(unit) and inside):
        raise ValueError(
            f"{archive}: expected regular files <stage>/<key>/..., got {member.name!r}; it is no "
            "archive of `posereel units pack`"
        )
    return unit, file


def _read(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    stream = tar.extractfile(member)
    return b"" if stream is None else stream.read()


def _add(scratch: Scratch, archive: Path, unit: str, files: dict[str, bytes]) -> None:
    """Write a unit beside its place, compare it with its receipt, and rename it."""
    assembly = scratch.assembly / f"unpack-{unit.replace('/', '-')}"
    shutil.rmtree(assembly, ignore_errors=True)
    try:
        for file, content in files.items():
            (assembly / file).parent.mkdir(parents=True, exist_ok=True)
            (assembly / file).write_bytes(content)
        packed: Receipt | None = read_receipt(assembly)
        if packed is None or seal(assembly, packed.name).digest != packed.digest:
            raise ValueError(
                f"{archive}: unit {unit}: its files differ from its receipt; copy the archive "
                "again, or pack it again"
            )
        target = scratch.folder / unit
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(target, ignore_errors=True)
        assembly.rename(target)
    finally:
        shutil.rmtree(assembly, ignore_errors=True)
