"""numerics.lock against the environment and against requirements.lock."""

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from pipeline.core.units.numerics import DISTRIBUTIONS, LOCK, pins_of, python_minor, read_pins

ROOT = Path(__file__).resolve().parents[4]


def test_the_environment_has_exactly_the_pinned_versions() -> None:
    found = {
        name: metadata.version(name).partition("+")[0] for name in sorted(DISTRIBUTIONS.values())
    }
    assert read_pins(ROOT) == found
    assert pins_of(DISTRIBUTIONS, ROOT) == found | {"python": python_minor()}


def test_every_table_has_the_versions_that_requirements_lock_installs() -> None:
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    for minor, pins in tomllib.loads((ROOT / LOCK).read_text(encoding="utf-8")).items():
        older = minor == "3.11"
        for name, version in pins.items():
            lines = re.findall(rf"^{re.escape(name)}==(\S+)(.*)$", text, re.MULTILINE)
            wanted = {
                locked
                for locked, marker in lines
                if "python_full_version" not in marker or ("< '3.12'" in marker) == older
            }
            assert wanted == {version}, f"{name} for Python {minor}"


def test_a_stage_gets_only_the_pins_of_its_imports() -> None:
    assert set(pins_of({"cv2", "json", "rich"}, ROOT)) == {"python", "opencv-python-headless"}


def test_another_installed_version_is_an_error_with_the_cure(tmp_path: Path) -> None:
    text = (ROOT / LOCK).read_text(encoding="utf-8")
    (tmp_path / LOCK).parent.mkdir(parents=True)
    (tmp_path / LOCK).write_text(re.sub(r'numpy = ".*"', 'numpy = "1.0"', text))
    with pytest.raises(ValueError, match=r"pins numpy 1\.0, the environment has .*make setup"):
        pins_of({"numpy"}, tmp_path)
    assert "numpy" not in pins_of({"torch"}, tmp_path)


@pytest.mark.parametrize("text", ["", "x = [", '["2.7"]\nnumpy = "1"\n', None])
def test_a_lock_without_this_python_is_an_error(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / LOCK).parent.mkdir(parents=True)
        (tmp_path / LOCK).write_text(text)
    with pytest.raises(ValueError, match=LOCK):
        read_pins(tmp_path)


def test_the_local_part_of_a_version_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    real = metadata.version
    monkeypatch.setattr(
        "pipeline.core.units.numerics.metadata.version", lambda name: real(name) + "+cu130"
    )
    assert pins_of({"numpy"}, ROOT)["numpy"] == real("numpy")
