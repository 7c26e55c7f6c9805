"""The section of the report shows the effects of all parts, in the order of the systems."""

from pipeline.report.liveness import PartEffect, liveness_section


def test_there_is_no_section_without_effects() -> None:
    assert liveness_section({}) is None


def test_a_row_has_the_change_its_interval_and_the_share() -> None:
    flow = PartEffect(-1.234, -2.0, 0.004, 0.987)
    single = PartEffect(0.0, None, None, None)
    section = liveness_section({"head": {"flow": flow, "masks": single}, "control": {"x": flow}})
    assert section is not None
    (table,) = section.tables
    assert [row.cells for row in table.rows] == [
        ("head", "flow", "-1.23", "-2.00", "+0.00", "0.99"),
        ("head", "masks", "+0.00", "-", "-", "-"),
        ("control", "x", "-1.23", "-2.00", "+0.00", "0.99"),
    ]
