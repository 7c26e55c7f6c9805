"""Render sections of tables, charts and pictures as one self-contained HTML file.

The page's Content-Security-Policy forbids the browser to load anything.
"""

import base64
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray

TEMPLATE = Path(__file__).with_name("page.html.j2")
JPEG_QUALITY = 88


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table; ``kind`` is ``head``, ``paper`` or empty and sets the row's style."""

    cells: tuple[str, ...]
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Grid:
    """A table; a click on a column's heading sorts it."""

    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    title: str = ""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture with its caption; ``jpeg`` is base64 text, height and width are in pixels."""

    jpeg: str
    caption: str
    height: int
    width: int


@dataclass(frozen=True, slots=True)
class PageSection:
    """One section of the page with a heading; charts are ``<svg>`` elements."""

    anchor: str
    title: str
    note: str = ""
    tables: tuple[Grid, ...] = ()
    charts: tuple[Markup, ...] = ()
    pictures: tuple[Picture, ...] = field(default=())


def picture_of(image: NDArray[np.uint8], caption: str) -> Picture:
    """Encode an image ``(H, W, 3)``, RGB, as a picture of the page.

    Raises:
        ValueError: If OpenCV cannot encode it.
    """
    flag = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    done, data = cv2.imencode(".jpg", np.ascontiguousarray(image[..., ::-1]), flag)
    if not done:
        raise ValueError(f"{caption}: expected an image to encode, got shape {image.shape}")
    height, width = image.shape[:2]
    return Picture(base64.b64encode(data.tobytes()).decode("ascii"), caption, height, width)


def percent(value: float | None, digits: int = 1) -> str:
    """Format a percentage; None becomes a dash, and negative zero becomes zero."""
    # Rounding a small negative value gives -0.0; adding 0 makes it 0.0.
    return "-" if value is None else f"{round(value, digits) + 0:.{digits}f}"


def render_page(title: str, summary: str, sections: list[PageSection]) -> str:
    """Return the page as HTML; everything except the charts is escaped."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATE.parent), autoescape=True, undefined=StrictUndefined
    )
    template = environment.get_template(TEMPLATE.name)
    return template.render(title=title, summary=summary, sections=sections)
