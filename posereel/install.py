"""Make `posereel` a command and a package of the Python environment that runs this module.

Usage, by `make setup`: ``python -m posereel.install``. The checkout is not copied. A ``.pth`` file
puts it on the path of the environment, and the command runs ``python -m posereel``.
"""

import shlex
import sys
import sysconfig
from pathlib import Path

COMMAND = """#!/bin/sh
# Written by `make setup`. A checkout in the current folder takes precedence over the installed one.
[ -f posereel/__main__.py ] && exec {python} -m posereel "$@"
exec {python} -P -m posereel "$@"
"""


def install(checkout: Path, python: Path, scripts: Path, packages: Path) -> None:
    """Write the command ``posereel`` and the path file of an environment.

    Args:
        checkout: Folder of the repository.
        python: Interpreter of the environment.
        scripts: Folder of the environment's commands.
        packages: Folder of the environment's packages.
    """
    command = scripts / "posereel"
    command.write_text(COMMAND.format(python=shlex.quote(str(python))), encoding="utf-8")
    command.chmod(0o755)
    (packages / "posereel.pth").write_text(f"{checkout}\n", encoding="utf-8")


if __name__ == "__main__":
    install(
        Path(__file__).resolve().parents[1],
        Path(sys.executable),
        Path(sysconfig.get_path("scripts")),
        Path(sysconfig.get_path("purelib")),
    )
