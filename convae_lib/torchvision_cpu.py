"""Make ``import torchvision`` work next to a CPU-only torch.

The torchvision wheel on the Python Package Index is compiled for the CUDA build of torch. Next to
a CPU-only torch, ``import torchvision`` stops with "operator torchvision::nms does not exist".
Importing this module first declares the missing operators, by name only. Datasets and transforms
then work; object detection's ``nms`` itself still does not. Where torchvision imports without
help, nothing is declared. The rest of this library does not use torchvision.

Examples
--------
>>> import convae_lib.torchvision_cpu  # lets the next line work next to a CPU-only torch
>>> from torchvision.transforms import ToTensor

Used in lessons 04 and 11.
"""

import importlib
import sys
from types import ModuleType

import torch

# torch forgets an operator as soon as the library object that declared it is deleted.
_libraries: list[torch.library.Library] = []


def import_torchvision() -> ModuleType:
    """Import torchvision, and declare its missing operators if that is what stops the import.

    Importing `convae_lib.torchvision_cpu` calls this function once, so there is usually no need to
    call it.

    Returns
    -------
    ModuleType
        The imported package ``torchvision``.

    Raises
    ------
    ModuleNotFoundError
        If torchvision is not installed. Any other failure of the import that missing operators do
        not explain is raised unchanged, too.

    Examples
    --------
    >>> torchvision = import_torchvision()
    >>> torchvision.datasets.MNIST.classes[3]
    '3 - three'

    Used in lessons 04 and 11.
    """
    try:
        return importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::nms does not exist" not in str(error):
            raise
    library = torch.library.Library("torchvision", "FRAGMENT")
    for operator in ("nms", "qnms"):
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _libraries.append(library)

    half_imported = [name for name in sys.modules if name.split(".")[0] == "torchvision"]
    for name in half_imported:
        del sys.modules[name]
    return importlib.import_module("torchvision")


import_torchvision()
