"""The picture of the DAG: its boxes, its arrows, and that the one in docs is up to date."""

from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

from ruamel.yaml import YAML
from typer.testing import CliRunner

from posereel.cli import load
from posereel.dag_picture import draw_dag, parse_dot, place_boxes, reduce_edges

ROOT = Path(__file__).resolve().parents[2]
DOT = """strict digraph {
"index";
"crop@hrnet-train";
"crop@vit-train";
"index" -> "crop@hrnet-train";
"index" -> "crop@vit-train";
"crop@hrnet-train" -> "flow";
"crop@vit-train" -> "tokens";
"flow" -> "train@jmpose";
"tokens" -> "train@vremd";
"index" -> "train@vremd";
}
"""
GRAPH = {
    "index": set[str](),
    "crop": {"index"},
    "flow": {"crop"},
    "tokens": {"crop"},
    "train": {"flow", "tokens", "index"},
}


def test_the_items_of_a_matrix_are_one_stage() -> None:
    assert parse_dot(DOT) == GRAPH


def test_an_edge_that_a_longer_path_implies_is_left_out() -> None:
    assert reduce_edges(GRAPH) == GRAPH | {"train": {"flow", "tokens"}}


def test_every_stage_is_right_of_all_that_it_reads_and_no_boxes_overlap() -> None:
    places = place_boxes(reduce_edges(GRAPH))
    assert all(
        places[source][0] < places[name][0] for name, sources in GRAPH.items() for source in sources
    )
    for (column, row), (next_column, next_row) in pairwise(sorted(places.values())):
        assert column != next_column or next_row - row >= 1


def test_a_stage_that_nothing_reads_is_next_to_its_source() -> None:
    places = place_boxes(reduce_edges(GRAPH | {"features": {"crop"}}))
    assert places["features"][0] == places["flow"][0]


def test_the_picture_is_svg_with_a_text_per_stage_and_an_arrow_per_edge() -> None:
    root = ET.fromstring(draw_dag(GRAPH))  # noqa: S314  our own text
    space = "{http://www.w3.org/2000/svg}"
    assert {text.text for text in root.iter(f"{space}text")} == set(GRAPH)
    # A line and a tip for each of the five edges that are left.
    assert len(list(root.iter(f"{space}path"))) == 2 * 5


def test_the_picture_in_docs_is_the_one_that_the_command_draws(tmp_path: Path) -> None:
    out = tmp_path / "dag.svg"
    done = CliRunner().invoke(load("show-dag"), ["--out", str(out)])
    assert done.exit_code == 0, done.output
    stages = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]
    assert all(f">{name}</text>" in out.read_text() for name in stages)
    shown = (ROOT / "docs/images/dag.svg").read_text()
    assert shown == out.read_text(), "run: posereel show-dag --out docs/images/dag.svg"
