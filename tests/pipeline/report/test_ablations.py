"""The ablation section of the report shows the numbers of the JSON files and their ranking."""

import json

from models.heads.jmpose.ablations import ABLATIONS
from pipeline.ablation.results import RowResult, TableResult, as_json
from pipeline.report.ablations import ablation_section


def result(name: str, *scores: list[float]) -> TableResult:
    found = TableResult(name, "ablation")
    for row, values in zip(ABLATIONS[name], scores, strict=True):
        found = found.with_row(RowResult(row.name, row.paper_mean, tuple(values)))
    return found


def test_there_is_no_section_without_a_table() -> None:
    assert ablation_section([]) is None


def test_every_row_shows_the_number_of_the_paper() -> None:
    found = result("jmpose-6", [60.0, 62.0], [58.0, 59.0], [60.5, 60.5])
    section = ablation_section([json.loads(json.dumps(as_json(found)))])
    assert section is not None
    (table,) = section.tables
    assert table.rows[0].cells[:3] == ("JM-Pose", "86.4", "0.0")
    assert table.rows[1].cells == (
        "(a) w/o JMIB", "85.0", "1.4", "58.5", "0.7", "2.5", "6.4", "2",
    )  # fmt: skip
    assert table.title.startswith("jmpose-6, preset ablation. The rows rank as in the paper")


def test_a_ranking_that_differs_from_the_paper_is_reported() -> None:
    found = result("jmpose-6", [60.0], [61.0], [59.0])
    section = ablation_section([json.loads(json.dumps(as_json(found)))])
    assert section is not None
    assert "The order differs. Here: (a) w/o JMIB > JM-Pose" in section.tables[0].title


def test_columns_without_any_value_are_left_out() -> None:
    one_training = result("jmpose-6", [60.0], [61.0], [59.0])
    sweep = json.loads(json.dumps(as_json(one_training)))
    for row in sweep["rows"]:
        row["paper_mean"] = row["paper_drop"] = None
    section = ablation_section([json.loads(json.dumps(as_json(one_training))), sweep])
    assert section is not None
    columns = [table.columns for table in section.tables]
    assert columns[0] == ("row", "paper", "paper drop", "mean", "drop", "seeds")
    assert columns[1] == ("row", "mean", "drop", "seeds")
    assert section.tables[1].rows[1].cells == ("(a) w/o JMIB", "61.0", "-1.0", "1")
