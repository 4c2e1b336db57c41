"""Make ``import torchvision`` work beside any build of torch.

torchvision's wheel on the package index is compiled against the CUDA build of torch. Beside a
CPU-only torch its import stops with "operator torchvision::nms does not exist". Declaring the names
is enough for the course, and done only where they are missing.
"""

import importlib
import sys
from types import ModuleType

import torch

_declared: list[torch.library.Library] = []  # an operator lives as long as what defined it


def import_torchvision() -> ModuleType:
    """Import torchvision and return it; any failure but the missing operators is raised."""
    try:
        return importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::nms does not exist" not in str(error):
            raise
    library = torch.library.Library("torchvision", "FRAGMENT")
    for operator in ("nms", "qnms"):
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _declared.append(library)
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]  # the half-imported package
    return importlib.import_module("torchvision")


import_torchvision()
