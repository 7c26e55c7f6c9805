"""Files that ``dvc plots show`` reads: tables of loss and precision-recall curves, and a page.

The charts are the specifications of ``vega_lite/``; dvc.yaml lists them.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import vl_convert

from pipeline.core.atomic_file import write_file

PAGE = Path(__file__).with_name("plots.html")
BUNDLE = "/* vega */"
"""Comment in the page that is replaced by Vega, Vega-Lite and Vega-Embed."""
EMBED = """
window.vegaEmbed = (place, chart) => {
  if (!chart.data) {
    document.querySelector(place).append("No values.");
    return;
  }
  const actions = {export: true, source: false, compiled: false, editor: false};
  vegaEmbed(place, chart, {renderer: "svg", actions});
};
"""
"""DVC calls ``vegaEmbed`` for each plot, with an empty chart if the plot has no values."""

POINTS = 200
"""Maximum number of points per training curve; each point is the mean of consecutive steps."""
NAMES = {"lr": "learning rate", "loss": "total loss", "held_out": "held-out loss"}
"""Display names of the columns of a history; every other column is a term of the loss."""
TRAINING = ["system", "step", "quantity", "value"]


def read_training(data: Path, systems: Sequence[str]) -> pd.DataFrame:
    """Return the training curves of all systems that were trained in this run.

    Args:
        data: Folder with ``runs``.
        systems: The systems, in the order of the rows.
    """
    files = {system: data / "runs" / system / "history.csv" for system in systems}
    return training_table({s: pd.read_csv(file) for s, file in files.items() if file.is_file()})


def training_table(histories: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return training curves as one long table.

    Args:
        histories: Content of data/runs/<system>/history.csv by system.

    Returns:
        Columns ``system``, ``step``, ``quantity`` and ``value``, with at most ``POINTS`` rows per
        system and quantity. Missing values, as of the held-out loss within an epoch, are left out.
    """
    parts = [pd.DataFrame(columns=TRAINING)]
    for system, history in histories.items():
        steps = len(history)
        window = np.arange(steps) * min(POINTS, steps) // max(steps, 1)
        means = history.drop(columns="epoch").groupby(window).mean()
        long = means.melt(id_vars="step", var_name="quantity").dropna()
        long["quantity"] = [NAMES.get(name, f"{name} loss") for name in long["quantity"]]
        parts.append(long.assign(system=system)[TRAINING])
    return pd.concat([part for part in parts if len(part)] or parts, ignore_index=True)


def write_plots(folder: Path, training: pd.DataFrame, curves: pd.DataFrame) -> None:
    """Write the files of ``dvc plots show``.

    Args:
        folder: Receives training.csv, precision_recall.csv and page.html.
        training: As from ``read_training``.
        curves: Columns ``system``, ``joint``, ``recall`` and ``precision``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    columns = ["system", "joint", "recall", "precision"]
    tables = {"training": training, "precision_recall": curves[columns]}
    for name, table in tables.items():
        text = table.to_csv(index=False, float_format="%.5g")
        write_file(folder / f"{name}.csv", text.encode())
    write_file(folder / "page.html", plots_page().encode())


def plots_page() -> str:
    """Return the HTML template of ``dvc plots``, with the JavaScript that draws the charts.

    The template that DVC itself ships loads the JavaScript from the network.
    """
    page = PAGE.read_text(encoding="utf-8")
    return page.replace(BUNDLE, vl_convert.javascript_bundle(EMBED))
