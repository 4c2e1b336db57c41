"""Pages to play with: HTML that needs no server, made of data and `_explore/*.js`.

Images travel as one PNG, networks as their layers and weights in half precision.
"""

import base64
import hashlib
import json
import math
from dataclasses import dataclass, field
from importlib.resources import files
from io import BytesIO
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import DTypeLike
from PIL import Image
from torch import Tensor, nn

from ._checks import as_array
from .layers import ConvLayer, DenseLayer, ResidualBlock
from .models import Decoder, Encoder, ResidualDecoder, ResidualEncoder

Network = nn.Linear | Encoder | Decoder | ResidualEncoder | ResidualDecoder
SCRIPTS = ("network", "prepare", "page")


@dataclass(frozen=True)
class Interactive:
    """What `digit_map` and `code_sliders` return, shown by a notebook: ``html``, needing no server.

    ``still``, a PNG, stands where scripts do not run. From lessons 05 and 06.
    """

    html: str = field(repr=False)
    still: bytes = field(repr=False)

    def _repr_html_(self) -> str:
        return self.html

    def _repr_png_(self) -> bytes:
        return self.still


def page(function: str, script: str, data: dict[str, Any], still: bytes, alt: str) -> Interactive:
    """HTML in which ``function`` of ``_explore/{script}.js`` replaces a still picture.

    Equal data give equal text. Any number of pages can stand in one document.
    """
    folder = files(__package__) / "_explore"
    code = "\n".join((folder / f"{name}.js").read_text("utf-8") for name in (*SCRIPTS, script))
    values = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("</", r"<\/")
    name = f"convae-{hashlib.sha256((code + values).encode()).hexdigest()[:12]}"
    picture = base64.b64encode(still).decode()
    html = (
        f'<div class="{name}"><img src="data:image/png;base64,{picture}" alt="{alt}">'
        "<p>A still picture: run the cell, or open the lesson on the site, to play with it.</p>"
        f'</div>\n<script>\n(() => {{\n"use strict";\n{code}\n'
        f'for (const host of document.querySelectorAll(".{name}:not([data-on])")) {{\n'
        f'  host.dataset.on = "";\n  {function}(host, {values});\n}}\n}})();\n</script>\n'
    )
    return Interactive(html, still)


def packed(values: Any, dtype: DTypeLike) -> str:
    """Numbers as base64, little-endian."""
    array = as_array(values).astype(np.dtype(dtype).newbyteorder("<"))
    return base64.b64encode(array.tobytes()).decode()


def rounded(values: Any, digits: int = 5) -> Any:
    """Numbers for JSON, nested like the array."""
    return np.round(np.asarray(values, dtype=np.float64), digits).tolist()


def sprite(images: Tensor, levels: int = 64) -> dict[str, Any]:
    """Images (N, C, H, W), C being 1 or 3, as one PNG of ``levels`` shades."""
    count, channels, height, width = images.shape
    columns = math.ceil(math.sqrt(count))
    shades = ((images.detach().cpu().float().clamp(-1, 1) + 1) / 2 * (levels - 1)).round()
    pixels = (shades * (255 / (levels - 1))).round().byte()
    blank = pixels.new_zeros(columns * math.ceil(count / columns) - count, *pixels.shape[1:])
    grid = torch.cat([pixels, blank]).unflatten(0, (-1, columns))  # (rows, columns, C, H, W)
    grid = grid.permute(0, 3, 1, 4, 2).reshape(-1, columns * width, channels)
    image = Image.fromarray(grid.squeeze(2).numpy())
    uri = f"data:image/png;base64,{base64.b64encode(png(image)).decode()}"
    return {"uri": uri, "columns": columns, "shape": [channels, height, width]}


def png(image: Image.Image) -> bytes:
    """The bytes of a picture as PNG."""
    stream = BytesIO()
    image.save(stream, "PNG", optimize=True)
    return stream.getvalue()


def picture(figure: Figure, dpi: int = 80) -> bytes:
    """A figure as PNG, in at most 64 colours."""
    stream = BytesIO()
    figure.savefig(stream, dpi=dpi)
    return png(Image.open(stream).convert("RGB").quantize(64))


def as_data(network: Network) -> dict[str, Any]:
    """An encoder or a decoder for the page: its layers, and its weights in half precision."""
    channels, height, width = getattr(network, "image_shape", (1, 1, 1))
    steps: list[list[Any]] = []
    numbers: list[Tensor] = []

    def add(*layers: Any) -> None:
        nonlocal height, width
        for layer in layers:
            match layer:
                case str():
                    steps.append([layer])
                case nn.Tanh() | nn.GELU():
                    steps.append([type(layer).__name__.lower()])
                case DenseLayer():
                    add(layer.linear, layer.activation)
                case ConvLayer():
                    add(layer.conv, layer.activation)
                case ResidualBlock():
                    add("keep", "gelu", layer.conv1, layer.conv2, "add")
                case nn.Linear():
                    steps.append(["dense", layer.in_features, layer.out_features])
                    numbers.extend(layer.parameters())  # weight, bias
                case nn.Conv2d():
                    size, stride, padding = layer.kernel_size[0], layer.stride[0], layer.padding[0]
                    sizes = layer.in_channels, layer.out_channels, size, stride, padding
                    steps.append(["conv", *sizes, height, width])
                    numbers.extend(layer.parameters())
                    height, width = height // stride, width // stride

    match network:
        case nn.Linear():
            add(network)
        case Encoder():
            add(network.conv1, network.conv2, network.dense1)
        case Decoder():
            add(network.dense1, network.conv1, network.conv2)
        case ResidualEncoder():
            add(network.patchify, network.block, "gelu", network.dense1, network.dense2)
        case ResidualDecoder():
            height, width = height // 4, width // 4
            add(network.dense1, network.dense2, network.block, "gelu", network.unpatchify)
            steps.append(["shuffle", 4, channels, height, width])
    weights = torch.cat([part.detach().cpu().flatten() for part in numbers])
    return {"layers": steps, "weights": packed(weights, np.float16)}
