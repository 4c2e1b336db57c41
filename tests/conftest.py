import matplotlib
import pytest
import tier
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
    tier.settle()
    return load_mnist()


@pytest.fixture(scope="session")
def embedded():
    """The embedded tier, on every machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONVAE_OFFLINE", "1")
        return load_mnist()


def pytest_itemcollected(item):
    """A warning fails a test of the library; what Jupyter warns of beside a notebook does not."""
    # Sockets of the tests' servers may be collected late, in any test.
    item.add_marker(pytest.mark.filterwarnings("error", "ignore:unclosed <socket:ResourceWarning"))
