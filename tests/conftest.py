import os
import shutil

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


def _missing(what):
    """Fail in CI, where everything is installed; skip elsewhere."""
    if os.environ.get("CI"):
        pytest.fail(f"{what} is missing", pytrace=False)
    pytest.skip(f"{what} is missing")


@pytest.fixture(scope="session")
def node():
    """The path of Node.js, which runs JavaScript."""
    path = shutil.which("node")
    if path is None:
        _missing("node (Debian: apt install nodejs)")
    return path


@pytest.fixture(scope="session")
def chromium():
    """A browser that Playwright drives."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        _missing('Playwright (pip install -e ".[test]")')
    names = ("chromium", "chromium-browser", "google-chrome")
    paths = [path for path in map(shutil.which, names) if path is not None]
    if not paths:
        _missing("Chromium (Debian: apt install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=paths[0], args=["--no-sandbox"])
        yield browser
        browser.close()


def pytest_itemcollected(item):
    """A warning fails a test of the library; what Jupyter warns of beside a notebook does not."""
    # Sockets of the tests' servers may be collected late, in any test.
    item.add_marker(pytest.mark.filterwarnings("error", "ignore:unclosed <socket:ResourceWarning"))
