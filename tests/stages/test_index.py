"""Stage index: it writes three tables, or one line of error and no table."""

import json
from pathlib import Path

import pytest

from pipeline.core.tables.parquet import read_table
from pipeline.core.tables.schemas import FRAMES, PEOPLE, VIDEOS
from stages.index import app
from tests.small_data_set import Workspace, document, make_data_set, write_json


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    workspace = Workspace(tmp_path, monkeypatch)
    make_data_set(workspace.root)
    return workspace


def test_the_stage_writes_three_tables_and_reports_their_sizes(workspace: Workspace) -> None:
    result = workspace.run(app)
    assert result.exit_code == 0
    assert result.output == "index: 3 videos, 15 frames (9 labeled), 18 people in data/index\n"
    assert len(read_table(Path("data/index/videos.parquet"), VIDEOS)) == 3
    assert len(read_table(Path("data/index/frames.parquet"), FRAMES)) == 15
    assert len(read_table(Path("data/index/people.parquet"), PEOPLE)) == 18


def test_equal_data_sets_give_equal_bytes(workspace: Workspace) -> None:
    workspace.run(app)
    first = workspace.files("data/index")
    for file in (workspace.root / "annotations").rglob("*.json"):
        text = file.read_text()
        file.unlink()
        file.write_text(text.replace(", ", ",\n "))
    workspace.run(app)
    assert workspace.files("data/index") == first


def test_a_data_set_without_videos_is_indexed(workspace: Workspace) -> None:
    for file in (workspace.root / "annotations").rglob("*.json"):
        file.unlink()
    (workspace.root / "frames.manifest").write_text("")
    result = workspace.run(app)
    assert result.output == "index: 0 videos, 0 frames (0 labeled), 0 people in data/index\n"
    assert len(read_table(Path("data/index/people.parquet"), PEOPLE)) == 0


def test_a_split_without_videos_is_accepted(workspace: Workspace) -> None:
    (workspace.root / "annotations/val/v3.json").unlink()
    assert workspace.run(app).exit_code == 0
    assert set(read_table(Path("data/index/videos.parquet"), VIDEOS)["split"]) == {"train"}


def _invalid_annotations() -> dict[str, tuple[str, str]]:
    good = document("val", 3)
    person = good["annotations"][0]

    def with_person(**changes: object) -> str:
        return _text(good | {"annotations": [person | changes]})

    return {
        "truncated": (_text(good)[:300], "not valid JSON"),
        "NaN": (_text(good).replace("16.0", "NaN", 1), "finite numbers, got NaN"),
        "infinity": (_text(good).replace("16.0", "1e999", 1), "finite numbers"),
        "duplicate key": ('{"images": [], "images": []}', "the key 'images' twice"),
        "nested": ("[" * 100_000, "nesting"),
        "long number": ('{"images": ' + "9" * 5000 + "}", "digits"),
        "no area": (with_person(bbox=[5, 5, 0, 7]), "positive width and height"),
        "inverted": (with_person(bbox=[50, 50, -9, -9]), "positive width and height"),
        "15 of 17": (with_person(keypoints=[1.0] * 45), "expected a list of 51 finite numbers"),
        "unknown image": (with_person(image_id=99), "expected the id of one of the file's images"),
        "duplicate id": (_text(good | {"annotations": [person, person]}), "more than once"),
        "both formats": (_text(good | {"annolist": []}), "got both"),
        "a list": ("[1, 2]", "expected an object"),
    }


def _text(content: object) -> str:
    return json.dumps(content)


@pytest.mark.parametrize("name", list(_invalid_annotations()))
def test_an_invalid_annotation_file_gives_a_one_line_error_and_no_output(
    name: str, workspace: Workspace
) -> None:
    text, message = _invalid_annotations()[name]
    (workspace.root / "annotations/val/v3.json").write_text(text)
    result = workspace.run(app)
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("index: ")
    assert "v3.json" in result.stderr
    assert message in result.stderr
    assert not Path("data").exists()


def test_people_without_a_visible_joint_are_indexed(workspace: Workspace) -> None:
    content = document("val", 3)
    for person in content["annotations"]:
        person["keypoints"] = [0] * 51
    write_json(workspace.root / "annotations/val/v3.json", content)
    assert workspace.run(app).exit_code == 0


def test_annotation_id_0_is_valid(workspace: Workspace) -> None:
    content = document("val", 3)
    content["annotations"][0]["id"] = 0
    write_json(workspace.root / "annotations/val/v3.json", content)
    assert workspace.run(app).exit_code == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data__manifest": "none"}, "expected the manifest of the frames, found nothing"),
        ({"index": {"form": "auto"}}, "index.form: unknown key, got 'auto'"),
        ({"data__root": 5}, "data.root: input should be a valid string, got 5"),
    ],
)
def test_the_error_names_the_invalid_param(
    changes: dict[str, object], message: str, workspace: Workspace
) -> None:
    workspace.set_params(**changes)
    result = workspace.run(app)
    assert result.exit_code == 1
    assert message in result.stderr
