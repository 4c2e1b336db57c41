import subprocess
import sys
from types import ModuleType, SimpleNamespace

import pytest

from convae_lib import _torchvision


@pytest.fixture
def imports(monkeypatch):
    """Play torchvision's imports: each call takes the next result, an error or a module."""
    results, asked = [], []

    def import_module(name):
        asked.append(name)
        result = results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result

    monkeypatch.setattr(_torchvision.importlib, "import_module", import_module)
    return SimpleNamespace(results=results, asked=asked)


class FakeLibrary:
    """Stands in for torch.library.Library and remembers what was declared."""

    made: list

    def __init__(self, namespace, kind):
        self.namespace, self.operators = namespace, []
        self.made.append(self)

    def define(self, schema):
        self.operators.append(schema.partition("(")[0])


@pytest.fixture
def libraries(monkeypatch):
    monkeypatch.setattr(FakeLibrary, "made", [], raising=False)
    monkeypatch.setattr(_torchvision.torch.library, "Library", FakeLibrary)
    monkeypatch.setattr(_torchvision, "_declared", [])
    return FakeLibrary.made


def test_torchvision_works_after_importing_the_library():
    script = """
import convae_lib
import torchvision
from torchvision import datasets, transforms, utils
import torch

grid = utils.make_grid(torch.rand(5, 1, 28, 28), nrow=5)
assert grid.shape == (3, 32, 152), grid.shape
assert transforms.ToTensor()(torch.zeros(28, 28).numpy()).shape == (1, 28, 28)
assert datasets.MNIST.classes[3] == "3 - three"
print("works")
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert run.stdout == "works\n", run.stderr


def test_nothing_is_declared_where_torchvision_imports_by_itself(imports, libraries):
    healthy = ModuleType("torchvision")
    imports.results[:] = [healthy]
    assert _torchvision.import_torchvision() is healthy
    assert imports.asked == ["torchvision"]
    assert libraries == []


def test_missing_operators_are_declared_and_the_import_tried_again(imports, libraries, monkeypatch):
    half, part = ModuleType("torchvision"), ModuleType("torchvision.ops")
    neighbour, whole = ModuleType("torchvisionary"), ModuleType("torchvision")
    monkeypatch.setitem(sys.modules, "torchvision", half)
    monkeypatch.setitem(sys.modules, "torchvision.ops", part)
    monkeypatch.setitem(sys.modules, "torchvisionary", neighbour)
    for name in [name for name in sys.modules if name.startswith("torchvision.")]:
        monkeypatch.setitem(sys.modules, name, sys.modules[name])
    imports.results[:] = [RuntimeError("operator torchvision::nms does not exist"), whole]

    assert _torchvision.import_torchvision() is whole
    assert imports.asked == ["torchvision", "torchvision"]
    assert [(lib.namespace, lib.operators) for lib in libraries] == [
        ("torchvision", ["nms", "qnms"])
    ]
    assert _torchvision._declared == libraries  # kept alive
    assert not [name for name in sys.modules if name.split(".")[0] == "torchvision"]
    assert sys.modules["torchvisionary"] is neighbour


@pytest.mark.parametrize("error", [RuntimeError("no space left"), ImportError("no torchvision")])
def test_any_other_failure_of_the_import_is_raised_unchanged(imports, libraries, error):
    imports.results[:] = [error]
    with pytest.raises(type(error)) as caught:
        _torchvision.import_torchvision()
    assert caught.value is error
    assert imports.asked == ["torchvision"]
    assert libraries == []


def test_a_second_failure_is_not_hidden(imports, libraries):
    second = RuntimeError("operator torchvision::nms does not exist, still")
    imports.results[:] = [RuntimeError("operator torchvision::nms does not exist"), second]
    with pytest.raises(RuntimeError, match="still"):
        _torchvision.import_torchvision()
