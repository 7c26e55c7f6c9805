"""Settings of every test: one thread, and where the shared reference material lies."""

import os
from pathlib import Path

import pytest
import torch

torch.set_num_threads(1)

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"


@pytest.fixture
def shared() -> Path:
    """Folder of real data and official numbers; in CI it may only be absent as a whole."""
    if not SHARED.is_dir():
        pytest.skip("the shared reference material is not beside the project")
    return SHARED


def pytest_report_header() -> str:
    found = "found" if SHARED.is_dir() else "absent"
    return f"shared reference material: {found}; CI={os.environ.get('CI')}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the slow files, so that the other core has the many short ones to do."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)
