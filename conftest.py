"""Settings for every pytest run, of tests and of notebooks alike."""

import os

os.environ["TQDM_DISABLE"] = "1"  # progress bars are no output to compare; read at import

from convae_lib import load_mnist


def pytest_configure(config):
    """Settle the data tier once, so that no test or kernel waits for an unreachable mirror."""
    if load_mnist().source == "embedded":
        os.environ["CONVAE_OFFLINE"] = "1"
