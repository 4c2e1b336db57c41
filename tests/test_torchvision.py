import os
import subprocess
import sys
from pathlib import Path

import torch
from torchvision import datasets, transforms, utils

MODULE = Path(__file__).parents[1] / "convae_lib/_torchvision.py"
SCRIPT = """
import gc, os, runpy, sys, torch, torchvisionary
for os.environ["DO"] in sys.argv[2:]:
    try:
        module = runpy.run_path(sys.argv[1])  # what it declares lives as long as its names
        print("imported", end=", ")
    except Exception as error:
        print(repr(error), end=", ")
    gc.collect()
    print("operators" if hasattr(torch.ops.torchvision, "nms") else "no operators")
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]
assert "torchvisionary" in sys.modules
"""
MISSING = "RuntimeError('operator torchvision::nms does not exist, still')"
# What torchvision does when it is imported, and what comes of it.
CASES = {
    "": "part, imported, no operators",
    "raise OSError('disk')": "part, OSError('disk'), no operators",
    "raise RuntimeError('memory')": "part, RuntimeError('memory'), no operators",
    f"raise {MISSING}": f"part, part, {MISSING}, no operators",
    "import torch; torch.library.register_fake('torchvision::nms')(lambda *args: args[0])": (
        "part, part, imported, operators"
    ),
}


def test_what_the_course_uses_of_torchvision_works():
    assert utils.make_grid(torch.rand(5, 1, 28, 28), nrow=5).shape == (3, 32, 152)
    assert transforms.ToTensor()(torch.zeros(28, 28).numpy()).shape == (1, 28, 28)
    assert datasets.MNIST.classes[3] == "3 - three"


def test_missing_operators_are_declared_and_other_failures_raised_unchanged(tmp_path):
    (tmp_path / "torchvision").mkdir()
    source = "import os\nfrom . import part\nexec(os.environ['DO'])"
    (tmp_path / "torchvision/__init__.py").write_text(source)
    (tmp_path / "torchvision/part.py").write_text("print('part', end=', ')")
    (tmp_path / "torchvisionary.py").touch()  # a neighbour
    command, environment = [sys.executable, "-c", SCRIPT, MODULE], {"PYTHONPATH": str(tmp_path)}
    result = subprocess.run(
        [*command, *CASES], env=os.environ | environment, capture_output=True, text=True
    )
    assert result.stdout.splitlines() == list(CASES.values()), result.stderr
    assert result.returncode == 0, result.stderr
