"""The section ``train_<system>`` of params.yaml: its schema, and the schedule of the training.

The section of a head holds the arguments of its network and loss, the schedule of its training and
``weights``. The section of a control names a head in place of a schedule and takes the schedule of
that head, so that the two cannot drift apart. The schema of the arguments comes from the
constructors of network and loss (``models.head_parts.building.constructor_params``): an argument is
declared once.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Protocol, cast

from pydantic import Field, create_model

from pipeline.core.params import OUT_OF_KEY, Section, read_params, read_section, validate_section
from pipeline.core.schedule import Training

CACHES = ("heatmaps", "flow", "features", "tokens")
"""Kinds of caches that a head may read."""
SCHEDULE = "schedule"
WEIGHTS = "weights"
NO_WEIGHTS = "none"


class Schedule(Training):
    """The part of a head's section that its controls share."""

    delta: Annotated[int, Field(ge=0)]
    """Neighbors on each side of the key frame that are read: T = 2 delta + 1."""


class Declaration(Protocol):
    """What the folder of a system declares; see ``models.head_parts.declaration.System``."""

    @property
    def crops(self) -> str:
        """Crops that the clips are cut to."""

    @property
    def caches(self) -> Callable[[Mapping[str, Any]], tuple[str, ...]]:
        """Returns the caches that the system reads, for its section."""

    @property
    def trained(self) -> bool:
        """Whether the network has parameters."""

    @property
    def key_frame_only(self) -> bool:
        """Whether the system reads the key frame alone."""


@dataclass(frozen=True, slots=True)
class SystemParams:
    """A system as params.yaml describes it."""

    name: str
    crops: str
    """Crops that its clips are cut to: ``hrnet`` or ``vit``."""
    caches: tuple[str, ...]
    """Caches that it reads: the arguments of its network's ``forward``."""
    frames: int
    """Frames T per clip that it reads."""
    arguments: Mapping[str, Any]
    """Arguments of network and loss that params decide, as they are written."""
    schedule: Schedule | None
    """None for a system that is not trained and reads key frames alone."""
    weights: str | None
    """Folder below data/weights whose head is published unchanged; ``none`` = train; None for a
    system without parameters."""

    @property
    def section(self) -> str:
        """Section of params.yaml."""
        return section_of(self.name)


def section_of(system: str) -> str:
    """Return the section of params.yaml that describes a system."""
    return f"train_{system}"


def training_section(values: Mapping[str, Any], system: str) -> str:
    """Return the section that holds the training schedule behind a system's weights.

    Args:
        values: Content of the params file.
        system: Name of the system.

    Returns:
        Section of the system or of the head that it controls; ``finetune_backbone`` for a system
        without weights of its own.

    Raises:
        ValueError: If the system has no section.
    """
    if not has_weights(values, system):
        return "finetune_backbone"
    return section_of(_mapping(values, section_of(system)).get(SCHEDULE, system))


def has_weights(values: Mapping[str, Any], system: str) -> bool:
    """Return whether a system has weights of its own; if not, its numbers are the backbone's.

    Args:
        values: Content of the params file.
        system: Name of the system.
    """
    return WEIGHTS in _mapping(values, section_of(system))


def read_system(params: Path, name: str, declared: Declaration) -> SystemParams:
    """Read the section of a system.

    The arguments of network and loss are not checked, which would import torch. A result that was
    made before is published without another check: its key holds the arguments as they are
    written, so that the check has accepted them. What is computed calls ``read_arguments``.

    Args:
        params: The params file.
        name: Name of the system.
        declared: What its folder declares.

    Raises:
        ValueError: If the section or the schedule is malformed.
    """
    values = read_params(params)
    section = _mapping(values, section_of(name))
    schedule = _read_schedule(values, name, params) if section or declared.trained else None
    if schedule is None and not declared.key_frame_only:
        raise ValueError(
            f"{params}: {section_of(name)}: expected a schedule, or the name of a head under "
            f"{SCHEDULE!r}: the system reads 2 delta + 1 frames"
        )
    known = {*Schedule.model_fields, SCHEDULE, WEIGHTS} if declared.trained else {SCHEDULE}
    arguments = {key: value for key, value in section.items() if key not in known}
    if arguments and not declared.trained:
        key, value = next(iter(arguments.items()))
        raise ValueError(f"{params}: {section_of(name)}.{key}: unknown key, got {value!r}")
    try:
        caches = declared.caches(section)
    except KeyError as error:
        raise ValueError(f"{params}: {section_of(name)}.{error.args[0]}: missing key") from error
    if odd := [cache for cache in caches if cache not in CACHES]:
        raise ValueError(
            f"{params}: {section_of(name)}: expected caches among {', '.join(CACHES)}, got {odd[0]}"
        )
    return SystemParams(
        name=name,
        crops=declared.crops,
        caches=caches,
        frames=1 if schedule is None or declared.key_frame_only else 2 * schedule.delta + 1,
        arguments=arguments,
        schedule=schedule,
        weights=str(section.get(WEIGHTS, NO_WEIGHTS)) if declared.trained else None,
    )


def read_arguments(
    params: Path, name: str, declared: Declaration, types: Mapping[str, Any]
) -> dict[str, Any]:
    """Check the section of a system strictly and return the arguments of network and loss.

    Args:
        params: The params file.
        name: Name of the system.
        declared: What its folder declares.
        types: Type of every argument, from ``models.head_parts.building.constructor_params``.

    Raises:
        ValueError: If a key is unknown, missing or of a wrong type.
    """
    if not declared.trained:
        return {}
    section = _mapping(read_params(params), section_of(name))
    schema = section_schema(name, types, shared=SCHEDULE in section)
    values = read_section(params, section_of(name), schema)
    return {argument: getattr(values, argument) for argument in types}


def section_schema(name: str, types: Mapping[str, Any], *, shared: bool) -> type[Section]:
    """Return the schema of the section of a system with weights.

    Args:
        name: Name of the system.
        types: Type of every argument of network and loss.
        shared: Whether the section names a head whose schedule it takes.

    Raises:
        ValueError: If an argument has the name of a key of the schedule.
    """
    own: dict[str, Any] = {WEIGHTS: Annotated[str, OUT_OF_KEY]}
    if shared:
        own[SCHEDULE] = str
    if taken := sorted(types.keys() & {*Schedule.model_fields, SCHEDULE, WEIGHTS}):
        raise ValueError(
            f"models/heads/{name}: the argument {taken[0]!r} of network or loss has the name of a "
            "key of the schedule; rename it"
        )
    fields = {key: (kind, ...) for key, kind in (own | dict(types)).items()}
    base: type[Section] = Section if shared else Schedule
    return create_model(section_of(name), __base__=base, **cast("dict[str, Any]", fields))


def _read_schedule(values: Mapping[str, Any], name: str, params: Path) -> Schedule:
    """Return the schedule of a system, its own or that of the head that it names."""
    owner = str(_mapping(values, section_of(name)).get(SCHEDULE, name))
    section = _mapping(values, section_of(owner))
    if SCHEDULE in section:
        raise ValueError(
            f"{params}: {section_of(name)}.{SCHEDULE}: expected a head with a schedule of its own, "
            f"got {owner!r}"
        )
    given = {key: section[key] for key in Schedule.model_fields if key in section}
    return validate_section(given, params, section_of(owner), Schedule)


def _mapping(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = values.get(name)
    if not isinstance(section, dict):
        known = [other for other in values if other.startswith(section_of(""))]
        raise ValueError(
            f"params file: section {name!r}: expected a mapping, got {section!r}; there are {known}"
        )
    return section
