"""params.yaml is read strictly: what is wrong is named with file, key and value."""

from pathlib import Path
from typing import Annotated, Literal

import pytest
from ruamel.yaml import YAML

from pipeline.core.params import OUT_OF_KEY, Section, read_params, read_section


class Inner(Section):
    height: int
    batch: Annotated[int, OUT_OF_KEY]


class Stage(Section):
    rate: float
    mode: Literal["a", "b"]
    workers: Annotated[int, OUT_OF_KEY]
    inner: Inner


GOOD = "stage: {rate: 1e-4, mode: a, workers: 2, inner: {height: 3, batch: 9}}\n"


def written(folder: Path, text: str) -> Path:
    file = folder / "params.yaml"
    file.write_text(text)
    return file


def test_scientific_notation_is_a_number_as_in_dvc(tmp_path: Path) -> None:
    assert read_section(written(tmp_path, GOOD), "stage", Stage).rate == 1e-4


def test_params_marked_out_of_key_leave_the_key_at_every_depth(tmp_path: Path) -> None:
    section = read_section(written(tmp_path, GOOD), "stage", Stage)
    assert section.key_params() == {"rate": 1e-4, "mode": "a", "inner": {"height": 3}}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("rate: 1e-4", "rate: 1e-4, size: 3", r"stage\.size: unknown key, got 3"),
        ("mode: a, ", "", r"stage\.mode: missing key"),
        ("workers: 2", "workers: no", r"stage\.workers: .*integer.*got 'no'"),
        ("workers: 2", 'workers: "x; touch PWNED"', r"stage\.workers: .*got 'x; touch PWNED'"),
        ("height: 3", "height: 3.5", r"stage\.inner\.height: .*got 3\.5"),
        ("mode: a", "mode: c", r"stage\.mode: .*'a' or 'b'.*got 'c'"),
        ("rate: 1e-4", "rate: 1e300", r"stage\.rate: .*at most 1000000, got 1e\+300"),
        ("rate: 1e-4", "rate: .nan", r"stage\.rate: .*finite.*got nan"),
    ],
)
def test_a_wrong_value_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    file = written(tmp_path, GOOD.replace(old, new))
    with pytest.raises(ValueError, match=message):
        read_section(file, "stage", Stage)


def test_a_params_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    file.write_bytes(b"stage:\x80\x04")
    with pytest.raises(ValueError, match=r"params\.yaml: expected UTF-8 text, got byte 0x80 at"):
        read_params(file)


def test_a_missing_section_lists_those_that_are_there(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"section 'crop' is missing; found \['stage'\]"):
        read_section(written(tmp_path, GOOD), "crop", Stage)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &x [1]\nb: *x\n", "anchors and aliases are refused"),
        ("a: [1\n", "not valid YAML"),
        ("- 1\n", "expected a mapping of sections, got list"),
        ("a: 1\na: 2\n", "not valid YAML: .*duplicate key"),
        ("a: !!python/object:os.system {}\n", "not valid YAML"),
    ],
)
def test_a_file_that_is_no_plain_mapping_is_refused(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        read_params(written(tmp_path, text))


def test_an_absent_or_huge_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="found nothing; run from the repo root"):
        read_params(tmp_path / "params.yaml")
    with pytest.raises(ValueError, match="expected at most 1000000 bytes, got 1000002"):
        read_params(written(tmp_path, "#" * 1_000_001 + "\n"))


def test_a_file_is_parsed_once_until_its_text_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = written(tmp_path, GOOD)
    parsed: list[str] = []
    load = YAML.load

    def counted(self: YAML, text: str) -> object:
        parsed.append(text)
        return load(self, text)

    monkeypatch.setattr(YAML, "load", counted)
    first = read_params(file)
    first["stage"]["inner"]["height"] = 99  # a change of the values is not seen by the next caller
    assert read_params(file)["stage"]["inner"]["height"] == 3
    assert len(parsed) == 1
    written(tmp_path, GOOD.replace("height: 3", "height: 4"))
    assert read_params(file)["stage"]["inner"]["height"] == 4
    assert len(parsed) == 2
