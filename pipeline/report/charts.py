"""Charts as inline SVG, drawn from Vega-Lite specifications without a browser or a network.

The specifications are the files of ``vega_lite/``. ``dvc plots`` draws the same files through
symbolic links in .dvc/plots, so they contain DVC's anchors for title and data, and a line style or
a column per revision.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import vl_convert

SPECIFICATIONS = Path(__file__).with_name("vega_lite")
TITLE, DATA = "<DVC_METRIC_TITLE>", "<DVC_METRIC_DATA>"
"""Anchors that DVC replaces (dvc_render/vega_templates.py, ``Template.ANCHOR``)."""

ChartName = Literal["error_kinds", "loss", "mean_ap", "precision_recall", "training"]


def draw_chart(name: ChartName, title: str, rows: Sequence[Mapping[Any, Any]]) -> str:
    """Return one chart as an ``<svg>`` element.

    Args:
        name: File of ``vega_lite/``, without its suffix.
        title: Text above the chart.
        rows: The values, with the fields that the specification names, of one revision.
    """
    text = (SPECIFICATIONS / f"{name}.json").read_text(encoding="utf-8")
    chart: dict[str, Any] = json.loads(text.replace(TITLE, title))
    chart["data"]["values"] = list(rows)
    return str(vl_convert.vegalite_to_svg(_without_revisions(chart)))


def _without_revisions(chart: dict[str, Any]) -> dict[str, Any]:
    """Return the chart without the line styles and the columns of revisions."""
    inner: dict[str, Any] = chart.get("spec", chart)
    inner["encoding"].pop("strokeDash", None)
    if chart.get("facet", {}).get("column", {}).get("field") == "rev":
        outer = {key: value for key, value in chart.items() if key not in ("facet", "spec")}
        return outer | inner
    return chart
