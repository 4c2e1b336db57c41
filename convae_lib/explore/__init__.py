"""Interactive figures for notebooks and web pages, which need no server and no network.

- ``map``: `digit_map`, a 2-D embedding whose points show their images and neighbors
- ``sliders``: `code_sliders`, a decoder that runs in the page
- ``network``: encoders and decoders as data, which ``network.js`` runs
- ``html``: `Interactive`, and how a page is put together

The JavaScript of each module lies beside it, under the same name.
"""

from .html import Interactive
from .map import digit_map
from .sliders import code_sliders

__all__ = ["Interactive", "code_sliders", "digit_map"]
