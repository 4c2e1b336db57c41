import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import convae_lib.torchvision_cpu

# isort: split
from torchvision import datasets, transforms, utils

MODULE = Path(convae_lib.torchvision_cpu.__file__)
# Imports the module next to a torchvision of the test's, and prints what happens.
SCRIPT = """
import gc, runpy, sys, torch, torchvisionary
try:
    names = runpy.run_path(sys.argv[1])
    print("imported")
except Exception as error:
    print(repr(error))
gc.collect()
print("operators declared" if hasattr(torch.ops.torchvision, "nms") else "nothing declared")
assert "torchvisionary" in sys.modules
"""
MISSING = "RuntimeError('operator torchvision::nms does not exist')"
REGISTERS = "import torch; torch.library.register_fake('torchvision::nms')(lambda *args: args[0])"


def test_datasets_transforms_and_utilities_work():
    assert utils.make_grid(torch.rand(5, 1, 28, 28), nrow=5).shape == (3, 32, 152)
    assert transforms.ToTensor()(torch.zeros(28, 28).numpy()).shape == (1, 28, 28)
    assert datasets.MNIST.classes[3] == "3 - three"


@pytest.mark.parametrize(
    ("import_does", "lines"),
    [
        pytest.param("", ["part", "imported", "nothing declared"], id="works"),
        pytest.param(
            "raise OSError('disk')",
            ["part", "OSError('disk')", "nothing declared"],
            id="another error",
        ),
        pytest.param(
            "raise RuntimeError('memory')",
            ["part", "RuntimeError('memory')", "nothing declared"],
            id="another RuntimeError",
        ),
        pytest.param(
            f"raise {MISSING}", ["part", "part", MISSING, "nothing declared"], id="still fails"
        ),
        pytest.param(
            REGISTERS, ["part", "part", "imported", "operators declared"], id="operators missing"
        ),
    ],
)
def test_only_missing_operators_are_declared_and_other_errors_raised(tmp_path, import_does, lines):
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision/__init__.py").write_text(f"from . import part\n{import_does}\n")
    (tmp_path / "torchvision/part.py").write_text("print('part')")
    (tmp_path / "torchvisionary.py").touch()  # a name that only begins like torchvision's
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT, MODULE],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert result.stdout.splitlines() == lines, result.stderr


def test_the_library_imports_without_torchvision_and_mlxtend():
    script = "import sys, convae_lib; print({'torchvision', 'mlxtend'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert result.stdout == "set()\n", result.stderr
