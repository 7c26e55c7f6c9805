"""Every preset is a complete params file that all stages can read."""

from pathlib import Path

import pytest

from models.head_parts.building import constructor_params
from models.head_parts.declaration import System
from models.head_parts.lookup import all_systems, comparisons, listed_systems
from pipeline.core.data_set import read_data_set
from pipeline.core.params import Section, read_params, read_section
from pipeline.core.system_params import Schedule, SystemParams, read_arguments, read_system
from pipeline.core.units.run_time import Train, read_extract
from pipeline.training.target_params import Target
from stages.crop import Crop
from stages.detect import Detect
from stages.evaluate import Evaluate
from stages.features import Features
from stages.finetune_backbone import FinetuneBackbone
from stages.flow import Flow
from stages.heatmaps import Heatmaps
from stages.index import Index
from stages.predict import Predict
from stages.render import Render
from stages.report import Report
from stages.tokens import Tokens

ROOT = Path(__file__).resolve().parents[1]
PRESETS = sorted((ROOT / "presets").glob("*.yaml"))
SCHEMAS: dict[str, type[Section]] = {
    "crop": Crop, "detect": Detect, "evaluate": Evaluate, "features": Features,
    "finetune_backbone": FinetuneBackbone, "flow": Flow, "heatmaps": Heatmaps, "index": Index,
    "predict": Predict, "render": Render, "report": Report, "target": Target, "tokens": Tokens,
    "train": Train,
}  # fmt: skip


def test_the_presets_are_those_of_the_design() -> None:
    assert {file.stem for file in PRESETS} == {
        "synthetic", "synthetic_large", "ablation", "posetrack17", "posetrack18", "posetrack21",
        "real_clip", "bench",
    }  # fmt: skip


def test_params_yaml_equals_the_preset_synthetic() -> None:
    assert (ROOT / "params.yaml").read_text() == (ROOT / "presets/synthetic.yaml").read_text()


@pytest.mark.parametrize("preset", PRESETS, ids=lambda file: file.stem)
def test_a_preset_satisfies_the_schema_of_every_stage(preset: Path) -> None:
    for name, schema in SCHEMAS.items():
        read_section(preset, name, schema)
    read_extract(preset)
    assert read_data_set(preset).annotations == f"data/raw/{read_data_set(preset).name}/annotations"


def systems_of(preset: Path) -> dict[str, System]:
    """Every system for the preset `bench`, those of dvc.yaml for all others."""
    return all_systems() if preset.stem == "bench" else listed_systems()


def read_all(preset: Path) -> dict[str, SystemParams]:
    found = {}
    for name, declared in systems_of(preset).items():
        read_arguments(preset, name, declared, constructor_params(name))
        found[name] = read_system(preset, name, declared)
    return found


@pytest.mark.parametrize("preset", PRESETS, ids=lambda file: file.stem)
def test_a_control_is_trained_on_the_schedule_of_the_head_that_is_compared_with_it(
    preset: Path,
) -> None:
    systems = read_all(preset)
    for head, references in comparisons(systems_of(preset)).items():
        for reference in references:
            assert systems[reference].schedule in (systems[head].schedule, None)


def schedule_of(system: SystemParams) -> Schedule:
    assert system.schedule is not None
    return system.schedule


@pytest.mark.parametrize("year", ["17", "18", "21"])
def test_the_posetrack_presets_hold_the_numbers_of_the_papers(year: str) -> None:
    preset = ROOT / f"presets/posetrack{year}.yaml"
    values = read_params(preset)
    assert (values["crop"]["hrnet"]["height"], values["crop"]["hrnet"]["width"]) == (384, 288)
    assert (values["crop"]["vit"]["height"], values["crop"]["vit"]["width"]) == (256, 192)
    assert values["crop"]["enlarge"] == 1.25
    assert values["crop"]["gap"] == 1
    assert values["crop"]["jitter"] == {"shift": 0, "scale": 0}
    systems = read_all(preset)
    jmpose, vremd = (schedule_of(systems[name]) for name in ("jmpose", "vremd"))
    sizes = systems["jmpose"].arguments
    assert (jmpose.delta, sizes["layers"], sizes["channels"]) == (2, 4, 48)
    assert [jmpose.rate(step, 10) for step in (0, 50, 100, 150)] == pytest.approx(
        [1e-4, 1e-5, 1e-6, 1e-7]
    )
    assert jmpose.total_steps(10) == vremd.total_steps(10) == 200
    assert (vremd.delta, systems["vremd"].arguments["width"]) == (1, 1024)
    # The paper has no warm-up: its rate and milestone hold from the end of ours on.
    assert vremd.warm_up == 500
    steps = (vremd.warm_up, 1599, 1600)
    assert [vremd.rate(step, 100) for step in steps] == pytest.approx([2e-3, 2e-3, 2e-4])
    assert values["finetune_backbone"]["folds"] == 2
    assert values["crop"]["variants"] == 4
