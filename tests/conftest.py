import os
from pathlib import Path

import matplotlib
import pytest
import torch
from hypothesis import settings

from convae_lib import load_mnist

matplotlib.use("Agg")
settings.register_profile("course", deadline=None, max_examples=25, derandomize=True)
settings.load_profile("course")


@pytest.fixture(autouse=True)
def same_random_numbers():
    """Every test starts from the same state of torch's global generator."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def data():
    """Whichever tier this machine has."""
    return load_mnist()


@pytest.fixture(scope="session")
def embedded():
    """The embedded tier, on every machine."""
    before = os.environ.get("CONVAE_OFFLINE")
    os.environ["CONVAE_OFFLINE"] = "1"
    try:
        return load_mnist()
    finally:
        if before is None:
            del os.environ["CONVAE_OFFLINE"]
        else:
            os.environ["CONVAE_OFFLINE"] = before


def pytest_collection_modifyitems(items):
    """A warning fails a test of the library; what Jupyter warns of beside a notebook does not."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(
                # Sockets of the tests' servers may be collected late, in any test.
                pytest.mark.filterwarnings("error", "ignore:unclosed <socket:ResourceWarning")
            )
