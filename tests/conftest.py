"""Shared fixtures and hooks: one torch thread, a browser, the shared reference material.

In CI, a test that needs the reference material may be skipped only if the whole folder is absent. A
test that needs the browser may not be skipped.
"""

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
import torch

from tests.chromium import Chromium, find_chromium, launch
from tests.warm_python import warm_python

torch.set_num_threads(1)

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"


@pytest.fixture
def shared() -> Path:
    """Return the folder with real data and official numbers."""
    if not SHARED.is_dir():
        pytest.skip("the shared reference material is not next to the project")
    return SHARED


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a folder with a command ``python`` whose libraries are already loaded."""
    with warm_python(tmp_path_factory.mktemp("python")) as folder:
        yield folder


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """Return a headless browser."""
    command = find_chromium()
    if command is None:
        reason = "Chromium is not installed (Debian: apt-get install chromium)"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    with launch(command, tmp_path_factory.mktemp("profile")) as browser:
        yield browser


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--kills",
        type=int,
        default=2,
        help="SIGKILLs per target in test_kills.py; `make test-kill` raises it",
    )


@pytest.fixture
def kills(pytestconfig: pytest.Config) -> int:
    """Return the number of kills per target."""
    count: int = pytestconfig.getoption("kills")
    return count


def pytest_report_header() -> str:
    found = "found" if SHARED.is_dir() else "absent"
    return f"shared reference material: {found}; CI={os.environ.get('CI')}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run slow files first, so that the other core is left with the many short ones."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test in CI that was skipped although its reference material is present."""
    report = yield
    if (
        report.skipped
        and os.environ.get("CI")
        and SHARED.is_dir()
        and _needs_material(item, report)
    ):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI although {SHARED.name} is present: {report.longreprtext}"
    return report


def _needs_material(item: pytest.Item, report: pytest.TestReport) -> bool:
    # Cases are listed from folders of the material; pytest itself skips an empty parameter set.
    words = ("shared reference material", "empty parameter set")
    fixtures: list[str] = getattr(item, "fixturenames", [])
    return "shared" in fixtures or any(word in report.longreprtext for word in words)
