"""Settings of every test: one thread, a browser, and where the shared reference material lies.

In CI a test that this material is for may be skipped only if the material is absent as a whole, and
a test that needs the browser never.
"""

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
import torch

from tests.chromium import Chromium, find_chromium, started
from tests.warm_python import warm_python

torch.set_num_threads(1)

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"


@pytest.fixture
def shared() -> Path:
    """Folder of real data and official numbers."""
    if not SHARED.is_dir():
        pytest.skip("the shared reference material is not beside the project")
    return SHARED


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Folder with a command ``python`` whose libraries are loaded already."""
    with warm_python(tmp_path_factory.mktemp("python")) as folder:
        yield folder


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """A headless browser."""
    command = find_chromium()
    if command is None:
        words = "no Chromium is installed (Debian: apt-get install chromium)"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(words)
    with started(command, tmp_path_factory.mktemp("profile")) as browser:
        yield browser


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--kills",
        type=int,
        default=2,
        help="SIGKILLs per target of test_kills.py; `make test-kill`",
    )


@pytest.fixture
def kills(pytestconfig: pytest.Config) -> int:
    """How often every target is killed."""
    count: int = pytestconfig.getoption("kills")
    return count


def pytest_report_header() -> str:
    found = "found" if SHARED.is_dir() else "absent"
    return f"shared reference material: {found}; CI={os.environ.get('CI')}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the slow files, so that the other core has the many short ones to do."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let a test fail that was skipped though the material it needs is there."""
    report = yield
    if (
        report.skipped
        and os.environ.get("CI")
        and SHARED.is_dir()
        and _needs_material(item, report)
    ):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI though {SHARED.name} is there: {report.longreprtext}"
    return report


def _needs_material(item: pytest.Item, report: pytest.TestReport) -> bool:
    # Cases are listed from the material's folders: none found is a skip of pytest's own.
    words = ("shared reference material", "empty parameter set")
    fixtures: list[str] = getattr(item, "fixturenames", [])
    return "shared" in fixtures or any(word in report.longreprtext for word in words)
