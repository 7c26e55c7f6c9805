"""The tables of `dvc plots`, and its page in a browser without a network."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from dvc_render import VegaRenderer, render_html

from pipeline.report.charts import SPECIFICATIONS
from pipeline.report.plots import POINTS, read_training, training_table, write_plots
from tests.chromium import Chromium

TEMPLATES = Path(__file__).parents[3] / ".dvc/plots"
CURVES = pd.DataFrame({"system": "a", "joint": "nose", "recall": [0, 1.0], "precision": [1, 0.5]})


def history(steps: int) -> pd.DataFrame:
    step = np.arange(1, steps + 1)
    columns = {"step": step, "epoch": step // 10, "lr": 0.1, "heatmap": 1 / step, "loss": 2 / step}
    return pd.DataFrame(columns)


def test_a_short_training_keeps_every_step() -> None:
    table = training_table({"a": history(3), "b": history(2)})
    assert table[["system", "step", "quantity"]].to_numpy().tolist() == [
        [system, step, quantity]
        for system, steps in (("a", 3), ("b", 2))
        for quantity in ("learning rate", "heatmap loss", "total loss")
        for step in range(1, steps + 1)
    ]
    assert table["value"].tolist()[3:6] == [1, 1 / 2, 1 / 3]


def test_points_of_a_long_training_are_means_of_consecutive_steps() -> None:
    long = history(POINTS * 7)
    table = training_table({"a": long})
    losses = table[table["quantity"] == "heatmap loss"]
    assert len(losses) == POINTS
    assert losses["value"].tolist() == pytest.approx(
        [long["heatmap"][start : start + 7].mean() for start in range(0, 7 * POINTS, 7)]
    )
    assert losses["step"].iloc[0] == 4


def test_missing_values_and_systems_without_training_have_no_rows(tmp_path: Path) -> None:
    (tmp_path / "runs/a").mkdir(parents=True)
    held_out = history(2).assign(held_out=[np.nan, 0.5])
    held_out.to_csv(tmp_path / "runs/a/history.csv", index=False)
    (tmp_path / "runs/given_weights").mkdir()
    (tmp_path / "runs/given_weights/history.csv").write_text("step,epoch,lr\n")
    table = read_training(tmp_path, ["untrained", "a", "given_weights"])
    rows = table[table["quantity"] == "held-out loss"]
    assert rows[["system", "step", "value"]].to_numpy().tolist() == [["a", 2, 0.5]]
    assert set(table["system"]) == {"a"}
    assert training_table({}).empty


@pytest.fixture(scope="module")
def plots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the files of `dvc plots`."""
    folder = tmp_path_factory.mktemp("plots")
    write_plots(folder, training_table({"a": history(3)}), CURVES)
    return folder


def test_equal_values_give_equal_files(plots: Path, tmp_path: Path) -> None:
    write_plots(tmp_path, training_table({"a": history(3)}), CURVES)
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["page.html", "precision_recall.csv", "training.csv"]
    assert all((tmp_path / name).read_bytes() == (plots / name).read_bytes() for name in files)


def test_dvc_draws_the_charts_of_the_report() -> None:
    links = {path.name: path for path in TEMPLATES.iterdir()}
    assert sorted(links) == ["loss.json", "mean_ap.json", "precision_recall.json", "training.json"]
    for name, link in links.items():
        assert link.resolve() == (SPECIFICATIONS / name).resolve()


def test_the_page_draws_charts_and_requests_nothing(
    plots: Path, tmp_path: Path, chromium: Chromium
) -> None:
    rows = pd.read_csv(plots / "training.csv", dtype=str).to_dict("records")
    points = [dict(row, rev="workspace") for row in rows]
    settings = {"x": "step", "y": "value", "template_dir": TEMPLATES}
    renderers = [
        VegaRenderer(points, "loss", template="loss", title="Loss of <b>a</b>", **settings),
        VegaRenderer(points, "rest", template="training", title="Other terms", **settings),
        VegaRenderer([], "nothing", template="loss", title="Nothing", **settings),
    ]
    page = tmp_path / "index.html"
    render_html(renderers, page, html_template=plots / "page.html")
    chromium.open(page)
    shown = chromium.run("""new Promise(done => setTimeout(() => done(
        [...document.querySelectorAll('body > div')].map(plot => plot.textContent)), 500))""")
    assert "Loss of <b>a</b>" in shown[0]
    assert "Training step" in shown[0]
    assert "total loss" in shown[1]
    assert "No values." in shown[2]
    assert {url.partition(":")[0] for url in chromium.requests.values()} == {"file"}
    assert chromium.console_errors == []
