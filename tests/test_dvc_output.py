"""The output of DVC's commands fits a terminal of 160 columns.

The tests run DVC in a small repository with the project's dvc.yaml, params and DVC settings, a
summary of metrics, and an experiment that changed one param and one system.
"""

import fcntl
import json
import os
import pty
import re
import select
import shutil
import struct
import subprocess
import sys
import termios
from pathlib import Path
from typing import Any

import pytest

from pipeline.report.summary import summarize
from tests.stages.toy_repository import isolate_dvc

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
SYSTEMS = ("hrnet", "mean", "refine", "fuse", "warp", "jmpose", "vit", "fuse_vit", "vremd")
MORE = ("tar", "dcpose")
"""Systems that may follow."""
CHANGED = "jmpose"
PARAM = ("  layers: 4 ", "  layers: 2 ")
WIDTH, HEIGHT = 160, 40
PATIENCE = 3.0
"""Seconds without output after which the pager waits for a key."""
ESCAPES = re.compile(r"\x1b(\[[0-9;?]*[A-Za-z]|[=>])|\r")
IDENTITY = ("-c", "user.name=test", "-c", "user.email=test@localhost")


def git(project: Path, *words: str) -> str:
    command = ["git", *IDENTITY, *words]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def write_summary(project: Path, systems: tuple[str, ...], gain: float) -> None:
    metrics: dict[str, Any] = {
        system: {"val": {"ap_total": 40.0 + number}, "val_gt": {"ap_total": 50.25 + number}}
        for number, system in enumerate(systems)
    }
    metrics[CHANGED]["val"]["ap_total"] += gain
    file = project / "data/metrics/summary.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(summarize(metrics), indent=1))


@pytest.fixture(scope="module", params=[SYSTEMS, SYSTEMS + MORE], ids=["nine", "eleven"])
def project(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a repository with a finished run and an experiment named lively-frog."""
    folder = tmp_path_factory.mktemp("output")
    for name in ("dvc.yaml", "params.yaml", ".gitignore", ".dvcignore", ".dvc/config"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    git(folder, "init", "--quiet", "--initial-branch=main")
    write_summary(folder, request.param, 0.0)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "run")
    base = git(folder, "rev-parse", "HEAD")
    params = folder / "params.yaml"
    assert params.read_text().count(PARAM[0]) == 1
    params.write_text(params.read_text().replace(*PARAM))
    write_summary(folder, request.param, 1.5)
    git(folder, "commit", "--quiet", "--all", "--message", "experiment")
    git(folder, "update-ref", f"refs/exps/{base[:2]}/{base[2:]}/lively-frog", "HEAD")
    git(folder, "reset", "--quiet", "--hard", base)
    return folder


@pytest.fixture(autouse=True)
def isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate_dvc(tmp_path, monkeypatch)
    for name in ("LESS", "LINES", "PAGER", "DVC_PAGER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", str(WIDTH))


def dvc(project: Path, *words: str) -> list[str]:
    """Return the lines that DVC prints into a pipe; all must fit the terminal."""
    command = [sys.executable, "-m", "dvc", *words]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.rstrip().splitlines()
    assert max(map(len, lines)) <= WIDTH
    return lines


def dvc_in_terminal(project: Path, *words: str) -> list[str]:
    """Return the lines that a terminal shows, and quit the pager; all must fit the terminal."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", HEIGHT, WIDTH, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "dvc", *words],
        cwd=project,
        env={name: os.environ[name] for name in os.environ if name != "COLUMNS"}
        | {"TERM": "xterm"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown = b""
    while process.poll() is None or select.select([ours], [], [], 0)[0]:
        if select.select([ours], [], [], PATIENCE)[0]:
            try:
                shown += os.read(ours, 1 << 16)
            except OSError:  # the terminal's other end is closed
                break
        elif shown:
            os.write(ours, b"q")
    os.close(ours)
    assert process.wait() == 0, shown
    lines = ESCAPES.sub("", shown.decode()).splitlines()
    assert max(map(len, lines)) <= WIDTH
    return lines


def systems_of(project: Path) -> list[str]:
    rows = json.loads((project / "data/metrics/summary.json").read_text())["mean_ap"]
    return list(dict.fromkeys(row["system"] for row in rows))


def test_metrics_show_prints_both_means_of_every_system(project: Path) -> None:
    head, detected, ground_truth = dvc(project, "metrics", "show")
    systems = systems_of(project)
    assert head.split() == ["Path", "Boxes", *sorted(systems)]
    numbers = [systems.index(system) for system in sorted(systems)]
    assert detected.split()[1:] == ["detected", *(f"{40 + number:.2f}" for number in numbers)]
    assert ground_truth.split() == ["ground", "truth", *(f"{50.25 + n:.2f}" for n in numbers)]


def test_one_changed_param_gives_a_short_metrics_diff(project: Path) -> None:
    head, *lines = dvc(project, "metrics", "diff", "HEAD", "lively-frog")
    assert head.split() == ["Path", "Metric", "HEAD", "lively-frog", "Change"]
    assert [line.split() for line in lines] == [
        ["data/metrics/summary.json", CHANGED, "45.00", "46.50", "-"],
        ["55.25", "55.25"],
    ]


def test_a_terminal_shows_all_systems_of_all_experiments(project: Path) -> None:
    if shutil.which("less") is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(
            "less, DVC's pager, is not installed"
        )
    lines = dvc_in_terminal(project, "exp", "show")
    head = next(line for line in lines if "Experiment" in line)
    assert head.split()[: 3 + len(systems_of(project))] == [
        "Experiment", "Created", "Boxes", *systems_of(project),
    ]  # fmt: skip
    row = next(line for line in lines if "lively-frog" in line)
    assert row[head.index(CHANGED) :].split()[0] == "46.50"


def test_only_the_changed_param_is_shown_where_experiments_are_compared(project: Path) -> None:
    lines = dvc(project, "exp", "show", "--only-changed", "--drop", ".*/")
    head = next(line for line in lines if "Experiment" in line)
    assert head.split() == ["Experiment", "Created", CHANGED, "train_jmpose.layers"]
    row = next(line for line in lines if "lively-frog" in line)
    assert row.split()[-2:] == ["46.50", "2"]


def test_git_ignores_the_page_of_the_plots(project: Path) -> None:
    assert git(project, "check-ignore", "dvc_plots/index.html")
