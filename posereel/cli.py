"""The program `posereel`: its commands, in groups, each imported only when it is called."""

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

from pipeline.core.errors import one_line

COMMANDS = {
    "Poses": {
        "predict": "Estimate the poses of all people in a video.",
        "score": "Score predictions by PoseTrack AP and OKS AP.",
    },
    "Data sets and weights": {
        "check-data": "Check a real data set and count what it holds.",
        "use-preset": "Write params.yaml from a preset and import its data set.",
        "import-weights": "Import the weights of a published network.",
        "run-network": "Run an imported network on an array of crops.",
        "ship-heads": "Copy the heads of the last run to data/weights/heads.",
    },
    "Results": {
        "results": "Print the AP of all systems and the path of the report.",
        "ablate": "Run an ablation table of the papers as DVC experiments.",
        "bench": "Compare all systems over several seeds on the same caches.",
        "liveness": "Measure what each part of a trained head does.",
        "show-dag": "Draw the stages of dvc.yaml and their order as SVG.",
        "show-poses": "Draw people with their labels and the poses of two systems.",
        "show-overlay": "Draw frames of a video that `posereel predict` wrote.",
        "show-model": "Print the parts of a network with parameters and FLOPs.",
        "show-attention": "Draw the offsets, masks and attention of a trained head.",
        "show-clips": "Draw a contact sheet of rendered videos with labels.",
    },
    "Heads": {
        "new-head": "Write a new head: folder, params, dvc.yaml entry, test.",
    },
    "Runs and caches": {
        "doctor": "Check versions, hardware, disk, weights and data.",
        "plan": "Estimate clips, bytes and time before a run.",
        "status": "Show progress, failures, disk use and times by stage.",
        "verify": "Check every output for damage; repair it with --repair.",
        "rekey": "Give finished units new keys after an edit without effect.",
        "units": "Pack finished units into a file, or add those of a file.",
        "merge-lock": "Merge dvc.lock by stages, as a merge driver of git.",
        "gc": "Remove old units and checkpoints from the scratch folder.",
    },
}
"""The commands of every group with the first line of their module's docstring.

The module of `check-data` is posereel.commands.check_data. The texts are repeated here because
`posereel --help` must not import 20 modules.
"""


class LazyGroup(TyperGroup):
    """A group of commands that imports the module of a command only when it is called."""

    def resolve_command(
        self,
        ctx: typer.Context,  # type: ignore[override]  # its base class is private to typer
        args: list[str],
    ) -> tuple[str | None, Any, list[str]]:
        """Return the command that is called, imported, and its arguments."""
        name, _, rest = super().resolve_command(ctx, args)
        return name, typer.main.get_command(load(str(name))), rest


def load(name: str) -> typer.Typer:
    """Import a command.

    Args:
        name: Its name as typed, such as ``check-data``.

    Returns:
        An application with this command only. Its help is the docstring of the module; its errors
        begin with the command as typed.
    """
    module = import_module(f"posereel.commands.{name.replace('-', '_')}")
    command = typer.Typer(add_completion=False)
    command.command(name, help=module.__doc__)(one_line(module.main, f"posereel {name}"))
    return command


def _program() -> typer.Typer:
    program = typer.Typer(cls=LazyGroup, no_args_is_help=True)

    @program.callback()
    def main() -> None:
        """Human pose estimation in video: JM-Pose and VREMD as one cached, resumable DVC pipeline.

        The stages of the pipeline are run by `dvc repro`.
        """

    def placeholder() -> None:
        """Placeholder of a command in lists; `LazyGroup` imports the command that is called."""

    for group, lines in COMMANDS.items():
        for name, line in lines.items():
            program.command(name, help=line, rich_help_panel=group)(placeholder)
    return program


app = _program()
