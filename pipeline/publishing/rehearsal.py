"""Asking a stage for its units and their keys, without computing or publishing anything.

The stages plan their units in their own modules and hand them to ``build``. Inside ``rehearse``
that is where they stop, and the plan comes out.
"""

from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.units.engines import MakeTask, RunOptions
from pipeline.units.key import Unit, record_parts


@dataclass(frozen=True, slots=True)
class Plan:
    """What a build would be made of."""

    stage: str
    out: Path
    listing: Path
    units: Sequence[Unit]
    make_task: MakeTask
    run: RunOptions


class RehearsedError(Exception):
    """Ends a stage that was only asked for its plan."""


@dataclass(slots=True)
class Rehearsal:
    """What was asked for."""

    plan: Plan | None = None
    parts: dict[str, Mapping[str, object]] = field(default_factory=dict)
    """What each key was made of, by key."""


_CURRENT: ContextVar[Rehearsal | None] = ContextVar("rehearsal", default=None)


def offer(plan: Plan) -> None:
    """Hand over a plan; called by every build before anything else.

    Raises:
        RehearsedError: If somebody asked for it.
    """
    current = _CURRENT.get()
    if current is not None:
        current.plan = plan
        raise RehearsedError


def rehearse(command: Callable[[], object]) -> Rehearsal:
    """Run a stage's command up to its build.

    Args:
        command: The command with its arguments.

    Returns:
        Its plan, absent if the command makes no units, and the parts of all keys.
    """
    rehearsal = Rehearsal()
    token = _CURRENT.set(rehearsal)
    try:
        with record_parts(rehearsal.parts):
            command()
    except RehearsedError:
        pass
    finally:
        _CURRENT.reset(token)
    return rehearsal
