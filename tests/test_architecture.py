"""Layers of the project, rules for names, and the consistency of dvc.yaml with the code."""

import ast
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from models.head_parts.building import constructor_params
from models.head_parts.lookup import all_systems, find_system, listed_systems
from pipeline.core.params import read_params, validate_section
from pipeline.core.schedule import Training
from pipeline.core.system_params import NO_WEIGHTS, Schedule, read_arguments, read_system
from pipeline.core.units.closure import import_closure, is_code
from pipeline.core.units.key import numeric_modules
from pipeline.core.units.syntax import read_source

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("models", "pipeline", "stages", "posereel", "pretrain")
NETWORKS = {"torchvision", "timm", "transformers"}
FILES = {"pandas", "pyarrow", "cv2", "zarr", "json", "pathlib", "os", "ruamel", "pydantic"}
FORBIDDEN = {
    "models": {"pipeline", "stages", "posereel", "pretrain", "typer", "dvc"} | FILES,
    "pipeline": {"models", "stages", "posereel", "pretrain", "typer", "dvc"} | NETWORKS,
    "stages": {"posereel", "pretrain", "dvc"},
    "posereel": {"pretrain", "dvc"},
    "pretrain": {"stages", "dvc"},
}
BANNED_WORDS = {"utils", "util", "helpers", "helper", "common", "manager", "misc"}


def resolved(values: dict[str, Any]) -> dict[str, Any]:
    """The foreach lists of dvc.yaml with their templates filled in from params."""

    def fill(text: object) -> object:
        if isinstance(text, list):
            return [fill(each) for each in text]
        match = re.fullmatch(r"\$\{(\w+)\.(\w+)\}", str(text))
        return values[match[1]][match[2]] if match else text

    stages = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    return {
        name: {
            key: {field: fill(value) for field, value in item.items()}
            for key, item in stage["foreach"].items()
        }
        for name, stage in stages.items()
        if "foreach" in stage
    }


def modules() -> list[Path]:
    return sorted(file for package in PACKAGES for file in (ROOT / package).rglob("*.py"))


def imported(file: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


def dag() -> dict[str, Any]:
    values = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
    return {name: stage.get("do", stage) for name, stage in values["stages"].items()}


@pytest.mark.parametrize("file", modules(), ids=lambda file: file.relative_to(ROOT).as_posix())
def test_a_module_imports_only_what_its_layer_allows(file: Path) -> None:
    package = file.relative_to(ROOT).parts[0]
    assert not imported(file) & FORBIDDEN[package]


@pytest.mark.parametrize("file", modules(), ids=lambda file: file.relative_to(ROOT).as_posix())
def test_a_module_has_a_docstring_and_a_specific_name(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)
    assert not set(re.split(r"[_.]", file.stem)) & BANNED_WORDS
    # `posereel/__init__.py` names the Python interface, which it imports at its first use.
    if file.name == "__init__.py" and file != ROOT / "posereel/__init__.py":
        assert len(tree.body) == 1


def test_the_package_posereel_loads_no_library_before_its_first_use() -> None:
    found = (
        "import sys, posereel; assert {'ClipCaches', 'score'} <= {*dir(posereel)}; "
        "loaded = {'torch', 'numpy', 'pandas', 'pydantic', 'pipeline', 'typer'} & {*sys.modules}; "
        "print(*sorted(loaded)); posereel.score; print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", found], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["", "False"]


def test_what_all_stages_share_imports_no_room_of_a_single_stage() -> None:
    for file in sorted((ROOT / "pipeline/core").rglob("*.py")):
        found = read_source(file).imports
        outside = {name for name in found if name.startswith("pipeline.")}
        outside -= {name for name in outside if name.startswith("pipeline.core.")}
        assert not outside, f"{file.relative_to(ROOT)} imports {sorted(outside)}"


def test_the_deps_of_every_stage_cover_the_import_closure_of_its_module() -> None:
    for name, stage in dag().items():
        rooms = [Path(dep) for dep in stage["deps"] if is_code(dep)]
        # A package's own file holds a docstring and nothing else, as a test above makes sure.
        loaded = ["models.heads"] if "models/heads/${key}" in stage["deps"] else []
        closure = {
            path
            for path in import_closure([f"stages.{name}", *loaded], ROOT)
            if path.name != "__init__.py" and path.parts[:2] != ("models", "heads")
        }
        used = {path: [room for room in rooms if room in (path, *path.parents)] for path in closure}
        missing = sorted(path.as_posix() for path, found in used.items() if not found)
        assert not missing, f"{name}: add the rooms of these files to its deps in dvc.yaml"
        idle = {room for room in rooms if room.parts[:2] != ("models", "heads")}
        idle -= {room for found in used.values() for room in found}
        assert not idle, f"{name}: it imports nothing of these rooms"
        assert "pipeline/core" in stage["deps"], f"{name}: numerics.lock is in this room"


@pytest.mark.parametrize("stage", ["detect", "flow", "heatmaps", "features", "tokens"])
@pytest.mark.parametrize("edited", ["core/heatmap.py", "core/limbs.py", "clips/augment.py"])
def test_decoder_drawing_and_augmentation_are_no_part_of_a_cache_key(
    stage: str, edited: str
) -> None:
    assert (ROOT / "pipeline" / edited).is_file()
    assert Path("pipeline", edited) not in numeric_modules(f"stages.{stage}")


def test_a_training_does_not_depend_on_the_decoder() -> None:
    trainings = [name for name in dag() if name.startswith("train")]
    assert trainings
    for name in trainings:
        assert Path("pipeline/core/heatmap.py") not in numeric_modules(f"stages.{name}")


def test_the_root_of_pipeline_has_at_most_14_files() -> None:
    assert len([path for path in (ROOT / "pipeline").iterdir() if path.is_file()]) <= 14


def test_a_stage_is_one_command_of_constant_words_and_matrix_keys() -> None:
    word = r"(--[a-z-]+|[a-z_]+|\$\{(item\.[a-z]+|key)\})"
    for name, stage in dag().items():
        assert re.fullmatch(rf"python -m stages\.{name}( {word})*", stage["cmd"])


def test_every_stage_has_its_section_in_params_and_the_other_way_round() -> None:
    values = read_params(ROOT / "params.yaml")
    heads = {f"train_{name}" for name in listed_systems()}
    assert set(dag()) <= set(values)
    assert set(values) - set(dag()) == {"data", "extract", "target", *heads}
    # Clips of one input do not depend on the size of the other: `crop` is listed key by key.
    keys = {"${item.input}", *values["crop"]} - {"hrnet", "vit"}
    listed = {name: {name} for name in dag()}
    listed |= {"train": {"train_${key}"}, "crop": {f"crop.{key}" for key in keys}}
    for name, stage in dag().items():
        assert listed[name] <= set(stage["params"])


def test_every_folder_is_listed_in_dvc_yaml_or_named_in_the_preset_bench() -> None:
    stages = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    lists = [stages[name]["foreach"] for name in ("train", "predict", "evaluate")]
    assert lists[0] == lists[1] == lists[2]
    assert lists[0].keys() == listed_systems().keys()
    values, bench = (read_params(ROOT / name) for name in ("params.yaml", "presets/bench.yaml"))
    unlisted = all_systems().keys() - listed_systems().keys()
    assert bench.keys() - values.keys() == {f"train_{name}" for name in unlisted}
    assert values.keys() <= bench.keys()


@pytest.mark.parametrize("system", listed_systems())
def test_the_list_of_systems_says_what_their_folders_and_sections_say(system: str) -> None:
    values = read_params(ROOT / "params.yaml")
    item = dict(resolved(values)["train"][system])
    described = read_system(ROOT / "params.yaml", system, find_system(system))
    assert item["input"] == described.crops
    assert set(item["caches"]) == set(described.caches)
    assert len(item["caches"]) == 2
    assert item["weights"] == (described.weights or NO_WEIGHTS)
    if described.schedule is not None:
        owner = validate_section(
            {key: values[f"train_{item['schedule']}"][key] for key in Schedule.model_fields},
            ROOT / "params.yaml", item["schedule"], Schedule,
        )  # fmt: skip
        assert owner == described.schedule


def test_no_module_names_a_system_but_those_in_its_folder_and_the_tables_of_the_papers() -> None:
    # `hrnet` and `vit` are also the names of backbones and of their crops, and `mean` is a number.
    ordinary = {"hrnet", "vit", "mean"}
    names = "|".join(name for name in all_systems() if name not in ordinary)
    assert names
    files = [
        file
        for package in ("models", "pipeline", "stages", "posereel")
        for file in (ROOT / package).rglob("*.py")
        if ROOT / "models/heads" not in file.parents and file.name != "papers.py"
    ]
    found = {
        file.relative_to(ROOT).as_posix(): match[0]
        for file in files
        if (match := re.search(rf"[\"'`]({names})[\"'`]", file.read_text(encoding="utf-8")))
    }
    assert found == {}


def test_every_folder_of_heads_is_a_system_and_declarations_need_no_torch() -> None:
    folders = {path.name for path in (ROOT / "models/heads").iterdir() if path.is_dir()}
    assert folders - {"__pycache__"} == set(all_systems())
    loaded = "; ".join(f"import models.heads.{name}.system" for name in all_systems())
    code = f"import sys; sys.modules['torch'] = None; {loaded}"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_the_schedule_in_dvc_yaml_is_that_of_the_schema() -> None:
    listed = [name for name in dag()["train"]["params"] if "${item.schedule}" in name]
    assert listed == [
        f"train_${{item.schedule}}.{key}" for key in ("delta", *Training.model_fields)
    ]


@pytest.mark.parametrize(
    ("preset", "system"),
    [
        (preset, system)
        for preset in sorted((ROOT / "presets").glob("*.yaml"))
        for system in (all_systems() if preset.stem == "bench" else listed_systems())
    ],
    ids=lambda value: getattr(value, "stem", value),
)
def test_every_preset_has_the_arguments_of_every_constructor(preset: Path, system: str) -> None:
    declared = find_system(system)
    found = read_arguments(preset, system, declared, constructor_params(system))
    assert bool(found) == declared.trained


def test_no_param_has_a_name_whose_change_dvc_does_not_see() -> None:
    def names(values: object) -> set[str]:
        if not isinstance(values, dict):
            return set()
        return set(values) | {name for value in values.values() for name in names(value)}

    for file in [ROOT / "params.yaml", *(ROOT / "presets").glob("*.yaml")]:
        assert not names(read_params(file)) & {"size", "nfiles"}


def test_no_out_is_persistent_and_every_stage_describes_itself() -> None:
    for stage in dag().values():
        assert stage["desc"]
        for out in stage["outs"]:
            assert not isinstance(out, dict) or not any(
                "persist" in flags for flags in out.values()
            )


def test_evaluate_and_report_start_without_torch() -> None:
    for name in ("evaluate", "report", "score"):
        for path in import_closure(f"stages.{name}", ROOT):
            assert not imported(ROOT / path) & {"torch", "timm", "transformers", "torchvision"}, (
                path
            )


def test_no_stage_loads_a_library_of_networks_before_it_builds_a_network() -> None:
    loads = "; ".join(f"import stages.{name}" for name in dag())
    found = f"import sys; {loads}; print(*sorted({NETWORKS!r} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", found], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []
