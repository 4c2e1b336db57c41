"""What importing the library costs, and which packages it brings along."""

import os
import subprocess
import sys
from statistics import median

MODULES = ("torch", "sklearn.manifold", "pandas", "matplotlib.pyplot", "convae_lib")
OPTIONAL_PACKAGES = ("torchvision", "mlxtend")  # the library does without them
N_PROCESSES = 3


def measure_imports(images, module, seed):
    """Measure the CPU seconds of a new process that imports one module.

    CPU seconds (user and system) of a new Python process that imports the library, or one of the
    packages that it uses, and ends: the median of three processes. The columns *torchvision* and
    *mlxtend* tell whether the module imports these packages.
    """
    imported = imported_packages(module)
    row = {name: "yes" if name in imported else "no" for name in OPTIONAL_PACKAGES}
    row["cpu_seconds"] = median(import_seconds(module) for _ in range(N_PROCESSES))
    return row


def import_seconds(module):
    """Return the CPU seconds of a process that imports a module."""
    before = os.times()
    subprocess.run([sys.executable, "-c", f"import {module}"], check=True)
    after = os.times()
    user = after.children_user - before.children_user
    system = after.children_system - before.children_system
    return user + system


def imported_packages(module):
    """Return the names of all packages that a process has imported after importing a module."""
    code = f"import sys, {module}; print(*sys.modules)"
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    return {name.partition(".")[0] for name in result.stdout.split()}
