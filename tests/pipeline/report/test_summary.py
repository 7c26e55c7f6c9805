"""The summary holds the mean AP of the metric files, as numbers and as DVC prints them."""

import json
from typing import Any

from pipeline.report.summary import summarize

METRICS: dict[str, Any] = {
    "hrnet": {"val": {"ap_total": 56.6862}, "val_gt": {"ap_total": 100.0}, "val_hard": {}},
    "jmpose": {"val": {"ap_total": 4.999}, "val_gt": {"ap_total": None}, "val_hard": {}},
}


def test_a_system_is_one_text_with_a_line_per_split() -> None:
    texts = {name: value for name, value in summarize(METRICS).items() if isinstance(value, str)}
    assert texts == {
        "Boxes": "detected\nground truth",
        "hrnet": "56.69\n100.00",
        "jmpose": "5.00\n-",
    }


def test_the_numbers_are_those_of_the_metric_files() -> None:
    rows = json.loads(json.dumps(summarize(METRICS)))["mean_ap"]
    assert [tuple(row.values()) for row in rows] == [
        ("hrnet", "detected", 56.6862),
        ("hrnet", "ground truth", 100.0),
        ("jmpose", "detected", 4.999),
        ("jmpose", "ground truth", None),
    ]
