"""`dvc repro` on a toy data set: stages run once and open only their declared dependencies."""

import json
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipeline.core.units.entry_log import read_entries
from pipeline.report.papers import COLUMNS
from tests.chromium import Chromium
from tests.toy_clone import ROOT, TOY, Clone

SYSTEMS = ("hrnet", "mean", "refine", "fuse", "warp", "jmpose", "vit", "fuse_vit", "vremd")


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory, python: Path) -> Clone:
    """Return a clone whose DAG has run once, with a log of the files that its stages opened."""
    clone = Clone(tmp_path_factory.mktemp("toy") / "clone", python)
    clone.edit_params(TOY)
    clone.run("dvc", "repro", POSEREEL_TEST_OPENED=str(clone.folder.with_name("opened")))
    clone.commit()
    return clone


def read_yaml(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = YAML(typ="safe").load(path.read_text())
    return content


TABLES = """[...document.querySelectorAll('#{} table')].map(table => ({{
    title: table.caption ? table.caption.textContent : '',
    rows: [...table.rows].map(row => [...row.cells].map(cell => cell.textContent)),
}}))"""


def tables_of(browser: Chromium, section: str) -> list[dict[str, Any]]:
    """Return the title and the cells of every table in a section of the open page."""
    found: list[dict[str, Any]] = browser.run(TABLES.format(section))
    return found


@pytest.mark.slow
def test_every_stage_runs_and_writes_the_tables_and_the_report(toy: Clone) -> None:
    table = toy.run("posereel", "results")
    toy.run("posereel", "show-poses", "hrnet", "jmpose", "--kind", "worst", "--out", "poses.png")
    assert (toy.folder / "poses.png").stat().st_size > 0
    for system in SYSTEMS:
        assert len(re.findall(rf"^. {system} ", table, flags=re.MULTILINE)) == 2
    assert "report: data/report/index.html" in table
    page = (toy.folder / "data/report/index.html").read_text()
    assert page.count("<svg") == 4
    assert not re.search(r"(src|href)=[\"']?http", page)


@pytest.mark.slow
def test_the_report_shows_the_numbers_of_the_metric_files_and_makes_no_request(
    toy: Clone, chromium: Chromium
) -> None:
    chromium.open(toy.folder / "data/report/index.html")
    metrics = {s: json.loads((toy.folder / f"data/metrics/{s}.json").read_text()) for s in SYSTEMS}
    tables = tables_of(chromium, "results") + tables_of(chromium, "hard")
    assert [table["title"].partition(":")[0] for table in tables] == [
        "val", "val_gt", "val_hard", "val_gt_hard",
    ]  # fmt: skip
    for table in tables:
        head, *rows = table["rows"]
        assert head == ["system", *COLUMNS]
        shown = {system: dict(zip(COLUMNS, cells, strict=True)) for system, *cells in rows}
        for system in SYSTEMS:
            groups = metrics[system][table["title"].partition(":")[0]]["groups"]
            for name in COLUMNS:
                cell = None if shown[system][name] == "-" else float(shown[system][name])
                assert cell == (groups[name] and pytest.approx(groups[name], abs=0.0501)), name
    (oks,) = tables_of(chromium, "oks")
    cells = dict(zip(oks["rows"][0], oks["rows"][1], strict=True))
    assert float(cells["val_gt AR"]) == pytest.approx(
        metrics["hrnet"]["val_gt"]["oks"]["AR"], abs=0.0501
    )
    assert {address.partition(":")[0] for address in chromium.requests.values()} <= {"file", "data"}
    assert chromium.console_errors == []


@pytest.mark.slow
def test_gains_on_one_video_are_shown_without_intervals(toy: Clone, chromium: Chromium) -> None:
    chromium.open(toy.folder / "data/report/index.html")
    (gains,) = tables_of(chromium, "gains")
    summary = json.loads((toy.folder / "data/metrics/summary.json").read_text())
    ap = {
        ("val" if row["boxes"] == "detected" else "val_gt", row["system"]): row["mean_ap"]
        for row in summary["mean_ap"]
    }
    assert set(ap) == {(split, system) for split in ("val", "val_gt") for system in SYSTEMS}
    for split, head, other, gain, *interval in gains["rows"][1:]:
        assert float(gain) == pytest.approx(ap[split, head] - ap[split, other], abs=0.0501)
        assert interval == ["-", "-"]
    assert "an interval needs at least two" in chromium.run("document.body.textContent")


@pytest.mark.slow
def test_the_page_of_dvc_plots_shows_every_plot_and_makes_no_request(
    toy: Clone, chromium: Chromium
) -> None:
    toy.run("dvc", "plots", "show")
    chromium.open(toy.folder / "dvc_plots/index.html")
    shown = chromium.run("""new Promise(done => setTimeout(() => done(
        [...document.querySelectorAll('body > div')].map(plot => plot.textContent)), 1000))""")
    titles = [title for plot in read_yaml(ROOT / "dvc.yaml")["plots"] for title in plot]
    assert len(titles) == len(shown) == 4
    for title, axis, plot in zip(
        titles, ("Mean AP (%)", "Heatmap loss", "learning rate", "Precision"), shown, strict=True
    ):
        assert title in plot
        assert axis in plot
        assert "jmpose" in plot
    assert {address.partition(":")[0] for address in chromium.requests.values()} == {"file"}
    assert chromium.console_errors == []
    assert "dvc_plots" not in "".join(toy.git("status", "--short"))


@pytest.mark.slow
def test_a_second_run_is_up_to_date(toy: Clone) -> None:
    assert "Data and pipelines are up to date." in toy.run("dvc", "repro")


@pytest.mark.slow
def test_no_tracked_file_contains_an_absolute_path(toy: Clone) -> None:
    tracked = [
        toy.folder / "dvc.lock",
        *(toy.folder / "data/metrics").iterdir(),
        *(toy.folder / "data/units").rglob("*.json"),
        toy.folder / "data/report/index.html",
        *(toy.folder / "data/report/plots").iterdir(),
    ]
    for file in tracked:
        assert str(toy.folder.parent) not in file.read_text()


@pytest.mark.slow
def test_a_stage_opens_only_its_declared_files(toy: Clone) -> None:
    declared: dict[str, list[str]] = {}
    for stage in read_yaml(toy.folder / "dvc.lock")["stages"].values():
        files = [entry["path"] for entry in (*stage["deps"], *stage.get("outs", ()))]
        declared[stage["cmd"].removeprefix("python -m ")] = files
    opened: dict[str, set[str]] = {}
    for line in toy.folder.with_name("opened").read_text().splitlines():
        command, file = json.loads(line)
        opened.setdefault(command, set()).add(file.removesuffix(".partial"))
    assert set(opened) == set(declared)
    # Params, files of DVC, and frames below data.root, which no stage lists.
    free = (
        "params.yaml",
        "data/raw/synthetic",
        ".dvc",
        "dvc.lock",
        "data/report/timings.html",
    )
    for command, files in opened.items():
        allowed = (*declared[command], *free)
        unexpected = {
            file
            for file in files
            if not any(file == place or file.startswith(f"{place}/") for place in allowed)
            # The folder of a written file is opened for fsync.
            and not any(place.startswith(f"{file}/") for place in allowed)
            and "__pycache__" not in file
            # A docstring and nothing else, see test_architecture.
            and not file.endswith("/__init__.py")
        }
        assert not unexpected, f"{command} opened {sorted(unexpected)}"


@pytest.mark.slow
def test_the_rows_of_an_ablation_table_share_all_caches(toy: Clone) -> None:
    shutil.copy(toy.folder / "params.yaml", toy.folder / "presets/toy.yaml")
    toy.commit()
    log = toy.folder / ".dvc/cache/scratch/timings.jsonl"
    before = len(read_entries(log))
    printed = toy.run("posereel", "ablate", "jmpose-5", "--preset", "toy")
    made = Counter(entry["stage"] for entry in read_entries(log)[before:])
    # Only JM-Pose* reads the backbone's features: of two train videos, and of one val video twice.
    assert set(made) == {"features", "train", "predict", "evaluate"}
    assert made["features"] == 4
    assert made["train"] == 3
    assert len(re.findall(r"Running stage 'train@jmpose'", printed)) == 3
    result = json.loads((toy.folder / "data/ablations/jmpose-5.json").read_text())
    assert [row["row"] for row in result["rows"]] == ["JM-Pose", "JM-Pose*", "w/o CJL", "w/o JMML"]
    assert "Running stage" not in toy.run("posereel", "ablate", "jmpose-5", "--preset", "toy")


@pytest.mark.slow
def test_an_experiment_runs_only_the_stages_of_its_head_and_the_report_compares_it_with_head(
    toy: Clone, chromium: Chromium
) -> None:
    printed = toy.run("dvc", "exp", "run", "-S", "train_jmpose.layers=2", "--name", "two-layers")
    ran = set(re.findall(r"Running stage '([^']+)'", printed))
    assert ran == {
        "train@jmpose",
        "predict@jmpose",
        "evaluate@jmpose",
        "report",
    }
    page = toy.folder / "data/report/against.html"
    toy.run("stages.report", "--against", "HEAD")
    chromium.open(page, 360, 700)
    (facts,) = tables_of(chromium, "facts")
    assert ["params", "train_jmpose.layers", "1", "2"] in facts["rows"]
    assert {row[0] for row in facts["rows"][1:]} == {"params", "jmpose"}
    now = json.loads((toy.folder / "data/metrics/jmpose.json").read_text())
    then = json.loads("".join(toy.git("show", "HEAD:data/metrics/jmpose.json")))
    for table in tables_of(chromium, "joints"):
        split = table["title"].partition(":")[0]
        shown = {joint: cells for _, joint, *cells in table["rows"][1:]}
        for joint, value in now[split]["joint_ap"].items():
            before = then[split]["joint_ap"][joint]
            assert (joint in shown) == (value != before)
            if joint in shown:
                expected = [before, value, value - before]
                assert [float(cell) for cell in shown[joint]] == pytest.approx(expected, abs=0.0501)
    assert chromium.run("document.documentElement.scrollWidth") == 360
    assert {address.partition(":")[0] for address in chromium.requests.values()} <= {"file", "data"}
    assert chromium.console_errors == []
    assert "Data and pipelines are up to date." in toy.run("dvc", "status", "report")

    toy.run("stages.report", "--against", "two-layers")
    chromium.open(page)
    assert [len(table["rows"]) for table in tables_of(chromium, "facts")] == [1]


def started(printed: str) -> set[str]:
    """Return the stages that ``dvc repro`` started."""
    return set(re.findall(r"Running stage '([^']+)'", printed))


@pytest.mark.slow
def test_a_new_head_trains_predicts_and_is_shown_and_starts_no_stage_of_another(
    toy: Clone, tmp_path: Path
) -> None:
    clone = toy.copy(tmp_path / "clone")
    own = {f"{stage}@my_head" for stage in ("train", "predict", "evaluate")}
    clone.run("posereel", "new-head", "my_head", "--reads", "heatmaps,flow")
    clone.run("pytest", "-q", "-p", "no:cacheprovider", "tests/models/heads/my_head")
    assert started(clone.run("dvc", "repro")) == own | {"report"}
    assert "my_head" in clone.run("posereel", "results")
    page = (clone.folder / "data/report/index.html").read_text()
    assert "my_head with hrnet, mean, refine, fuse, warp" in page
    summary = json.loads((clone.folder / "data/metrics/summary.json").read_text())
    assert {row["system"] for row in summary["mean_ap"]} == {*SYSTEMS, "my_head"}
    assert "train@my_head" in clone.run("posereel", "plan")
    clone.run("posereel", "ship-heads", "--name", "mine")
    (frames,) = (clone.folder / "data/raw/synthetic/images/val").iterdir()
    words = ("--head", "my_head", "--weights", "data/weights/mine", "--no-overlay", "--out", "out")
    clone.run("posereel", "predict", str(frames), *words)
    assert json.loads((clone.folder / "out/meta.json").read_text())["head"] == "my_head"

    # An edit starts the stages that run the head; without an effect, they find what they made.
    network = clone.folder / "models/heads/my_head/network.py"
    network.write_text(network.read_text() + "\n# A comment.\n")
    printed = clone.run("dvc", "repro")
    assert started(printed) == {"train@my_head", "predict@my_head", "report"}
    assert "0 units computed, 1 reused" in printed
    text = network.read_text()
    assert "initialize(self.first)" in text
    network.write_text(text.replace("initialize(self.first)", "initialize(self)"))
    printed = clone.run("dvc", "repro")
    assert started(printed) == own | {"report"}
    assert "1 units computed, 0 reused" in printed


@pytest.mark.slow
def test_params_of_a_head_start_its_controls_only_where_they_are_of_its_schedule(
    toy: Clone, tmp_path: Path
) -> None:
    clone = toy.copy(tmp_path / "clone")
    trainings = [f"train@{name}" for name in SYSTEMS]
    clone.edit_params({"train_jmpose.alpha": 0.01})
    assert started(clone.run("dvc", "repro", *trainings)) == {"train@jmpose"}
    clone.edit_params({"train_jmpose.lr": 0.001})
    ran = started(clone.run("dvc", "repro", *trainings))
    assert ran == {f"train@{name}" for name in SYSTEMS[:6]}
