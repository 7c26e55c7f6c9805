"""The section of the engine, turned into options."""

from pathlib import Path

import pytest

from pipeline.core.units.run_time import read_extract

SECTION = "extract: {engine: local, workers: 3, threads: 2, device: cpu, devices: ['0', '1']}\n"


def test_the_section_becomes_the_options_of_a_build(tmp_path: Path) -> None:
    params = tmp_path / "params.yaml"
    params.write_text(SECTION)
    section, options = read_extract(params)
    assert section.device == "cpu"
    assert (options.engine, options.workers, options.threads) == ("local", 3, 2)
    assert options.devices == ("0", "1")
    assert options.part is None
    assert read_extract(params, "1/4")[1].part == (1, 4)


@pytest.mark.parametrize(
    ("text", "units", "message"),
    [
        (SECTION.replace("local", "slurm"), "", r"extract\.engine"),
        (SECTION.replace("workers: 3", "workers: 0"), "", r"extract\.workers"),
        (SECTION, "4/4", "expected i/n"),
    ],
)
def test_malformed_sections_and_slices_are_errors(
    tmp_path: Path, text: str, units: str, message: str
) -> None:
    params = tmp_path / "params.yaml"
    params.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_extract(params, units)
