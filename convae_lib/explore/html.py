"""Pages made of a still picture, data and JavaScript.

Images are stored as one PNG file, arrays of numbers as base64 text.
"""

import base64
import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from importlib.resources import files
from io import BytesIO
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from torch import Tensor

NOTICE = (
    "This is a still picture. For the interactive figure, run the cell, "
    "or open the lesson on the course's website."
)


@dataclass(frozen=True)
class Interactive:
    """An interactive figure, which a notebook displays. `digit_map` and `code_sliders` return it.

    Attributes
    ----------
    html : str
        The figure as HTML. It needs no server and loads nothing.
    still : bytes
        A PNG picture of the figure, for places where scripts do not run.

    Notes
    -----
    First used in lesson 05.

    Examples
    --------
    >>> figure = Interactive("<p>Hello</p>", still=b"")
    >>> figure.html
    '<p>Hello</p>'
    """

    html: str = field(repr=False)
    still: bytes = field(repr=False)

    def _repr_html_(self) -> str:
        return self.html

    def _repr_png_(self) -> bytes:
        return self.still


def read_script(name: str) -> str:
    """Return the text of a JavaScript file of this package, such as ``"network"``."""
    return (files("convae_lib.explore") / f"{name}.js").read_text("utf-8")


def build_page(
    function: str,
    scripts: Sequence[str],
    data: dict[str, Any],
    figure: Figure,
    alt: str,
    *,
    notice: str = NOTICE,
) -> Interactive:
    """Return a page in which a JavaScript function replaces a still picture.

    Equal arguments give equal text. Any number of pages can stand in one document.

    Parameters
    ----------
    function : str
        Name of the JavaScript function to call with the element of the page and ``data``.
    scripts : sequence of str
        JavaScript code that defines it. The functions of ``html.js`` are always there.
    data : dict
        What JSON can hold. It may contain any text, also text that looks like HTML.
    figure : Figure
        The still picture.
    alt : str
        Alternative text of the still picture.
    notice : str
        A sentence below the still picture.

    Returns
    -------
    Interactive
        The page.
    """
    code = "\n".join([read_script("html"), *scripts])
    values = json_for_script(data)
    digest = hashlib.sha256((code + values).encode()).hexdigest()
    name = f"convae-{digest[:12]}"
    still = figure_as_png(figure)
    uri = png_as_uri(still)
    html = (
        f'<div class="{name}">'
        f'<img src="{uri}" alt="{escape(alt)}">'
        f"<p>{escape(notice)}</p>"
        "</div>\n"
        "<script>\n"
        "(() => {\n"
        '"use strict";\n'
        f"{code}\n"
        f"const data = {values};\n"
        f'for (const host of document.querySelectorAll(".{name}:not([data-started])")) {{\n'
        '  host.dataset.started = "";\n'
        f"  {function}(host, data);\n"
        "}\n"
        "})();\n"
        "</script>\n"
    )
    return Interactive(html, still)


def json_for_script(data: Any) -> str:
    """Return data as JSON that is safe inside a ``<script>`` element.

    An HTML parser looks for ``</script`` and ``<!--`` in a script, whatever the script's language
    makes of them. Neither can occur where every ``<`` is written as an escape sequence.
    """
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    return text.replace("<", r"\u003c").replace(">", r"\u003e").replace("&", r"\u0026")


def pack(values: ArrayLike, dtype: str) -> dict[str, str]:
    """Return numbers as data: ``dtype``, one that ``html.js`` knows, and little-endian bytes."""
    array = np.asarray(values).astype(np.dtype(dtype).newbyteorder("<"))
    return {"dtype": dtype, "base64": base64.b64encode(array.tobytes()).decode()}


def pack_floats(values: NDArray[Any], tolerance: ArrayLike) -> dict[str, str]:
    """Return finite numbers as data, in half precision if that rounds by no more than allowed.

    Parameters
    ----------
    values : ndarray
        Finite numbers, within the range of single precision.
    tolerance : array_like
        The largest rounding error allowed, for all values or for each of them.

    Returns
    -------
    dict
        As of `pack`, with the dtype ``"float16"``, or else ``"float32"``.
    """
    with np.errstate(over="ignore"):  # infinity is outside the tolerance
        half = values.astype(np.float16)
    rounding_error = np.abs(half.astype(np.float64) - values)
    half_is_enough = bool((rounding_error <= tolerance).all())
    return pack(values, "float16" if half_is_enough else "float32")


def rounded(values: ArrayLike, digits: int = 6) -> Any:
    """Return numbers as (nested lists of) floats for JSON, with so many significant digits."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim == 0:
        return float(f"{array:.{digits}g}")
    return [rounded(row, digits) for row in array]


def image_sheet(images: Tensor, levels: int = 64) -> dict[str, Any]:
    """Return images as data: one PNG in which they stand in rows, side by side.

    Parameters
    ----------
    images : Tensor
        Images (N, C, H, W) with C = 1 or 3. Pixels are clipped to [-1, 1].
    levels : int
        Number of shades to round to; fewer make a smaller file.
    """
    count, channels, height, width = images.shape
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    from_0_to_1 = (images.detach().cpu().float().clamp(-1, 1) + 1) / 2
    shades = (from_0_to_1 * (levels - 1)).round()
    pixels = (shades * (255 / (levels - 1))).round().byte()
    blank = pixels.new_zeros(columns * rows - count, channels, height, width)
    sheet = torch.cat([pixels, blank]).unflatten(0, (rows, columns))  # (rows, columns, C, H, W)
    sheet = sheet.permute(0, 3, 1, 4, 2)  # (rows, H, columns, W, C)
    sheet = sheet.reshape(rows * height, columns * width, channels)
    image = Image.fromarray(sheet.squeeze(2).numpy())
    uri = png_as_uri(image_as_png(image))
    return {"uri": uri, "columns": columns, "shape": [channels, height, width]}


def image_as_png(image: Image.Image) -> bytes:
    """Return a picture as the bytes of a PNG file."""
    stream = BytesIO()
    image.save(stream, "PNG", optimize=True)
    return stream.getvalue()


def png_as_uri(png: bytes) -> str:
    """Return a PNG file as an address that holds the file itself."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def figure_as_png(figure: Figure, dpi: int = 80) -> bytes:
    """Return a figure as the bytes of a PNG file with at most 64 colors."""
    stream = BytesIO()
    figure.savefig(stream, format="png", dpi=dpi)
    return image_as_png(Image.open(stream).convert("RGB").quantize(64))
