"""The report's section of ablations: the numbers of the JSON files, and whose order they have."""

import json

from pipeline.ablation.results import TableResult, as_json
from pipeline.ablation.tables import TABLES
from pipeline.report.ablations import ablation_section


def result(name: str, *scores: list[float]) -> TableResult:
    found = TableResult(name, "ablation")
    for row, values in zip(TABLES[name].rows, scores, strict=True):
        found = found.with_row(row, values)
    return found


def test_without_a_table_there_is_no_section() -> None:
    assert ablation_section([]) is None


def test_every_row_stands_beside_the_papers_number() -> None:
    found = result("jmpose-6", [60.0, 62.0], [58.0, 59.0], [60.5, 60.5])
    section = ablation_section([json.loads(json.dumps(as_json(found)))])
    assert section is not None
    (table,) = section.tables
    assert table.rows[0].cells[:3] == ("JM-Pose", "86.4", "0.0")
    assert table.rows[1].cells == (
        "(a) w/o JMIB", "85.0", "1.4", "58.5", "0.7", "2.5", "6.4", "2",
    )  # fmt: skip
    assert table.title.startswith("jmpose-6, preset ablation. The rows rank as in the paper")


def test_another_order_than_the_papers_is_said() -> None:
    found = result("jmpose-6", [60.0], [61.0], [59.0])
    section = ablation_section([json.loads(json.dumps(as_json(found)))])
    assert section is not None
    assert "The order differs. Here: (a) w/o JMIB > JM-Pose" in section.tables[0].title
    assert section.tables[0].rows[0].cells[4] == "-"  # no spread of one training
