"""Charts of the report as inline SVG, drawn by Vega-Lite without a browser or a network."""

import altair as alt
import pandas as pd
import vl_convert

WIDTH, HEIGHT = 150, 110


def precision_recall_chart(curves: pd.DataFrame) -> str:
    """Return one small precision-recall panel per joint, a line per system.

    Args:
        curves: Columns ``system``, ``joint``, ``recall`` and ``precision``, both within [0, 1].

    Returns:
        An ``<svg>`` element.
    """
    lines = _lines(curves, "recall", "precision").properties(width=WIDTH, height=HEIGHT)
    return _svg(lines.facet(facet=alt.Facet("joint:N", title=None), columns=5))


def loss_chart(history: pd.DataFrame) -> str:
    """Return the loss of every training over its steps.

    Args:
        history: Columns ``system``, ``step`` and ``loss``.

    Returns:
        An ``<svg>`` element.
    """
    lines = _lines(history, "step", "loss", log=True)
    return _svg(lines.properties(width=4 * WIDTH, height=2 * HEIGHT))


def error_chart(errors: pd.DataFrame) -> str:
    """Return the share of each kind of error for every system as stacked bars.

    Args:
        errors: Columns ``system``, ``kind`` and ``share`` of ground-truth joints, within [0, 1].

    Returns:
        An ``<svg>`` element.
    """
    bars = (
        alt.Chart(errors)
        .mark_bar()
        .encode(
            x=alt.X("share:Q", title="share of ground-truth joints", stack=True),
            y=alt.Y("system:N", title=None, sort=None),
            color=alt.Color("kind:N", title=None),
        )
        .properties(width=3 * WIDTH, height=2 * HEIGHT)
    )
    return _svg(bars)


def _lines(values: pd.DataFrame, x: str, y: str, *, log: bool = False) -> alt.Chart:
    scale = alt.Scale(type="log") if log else alt.Scale(domain=[0, 1])
    return (
        alt.Chart(values)
        .mark_line(strokeWidth=1.2)
        .encode(
            x=alt.X(f"{x}:Q"),
            y=alt.Y(f"{y}:Q", scale=scale),
            color=alt.Color("system:N", title=None, sort=None),
        )
    )


def _svg(chart: alt.Chart | alt.FacetChart) -> str:
    return str(vl_convert.vegalite_to_svg(chart.to_dict()))
