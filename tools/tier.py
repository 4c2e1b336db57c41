"""Which MNIST the kernels of a run read: all of it, or the offline subset."""

import os


def settle():
    """Look for MNIST once, so that no kernel looks again for what is out of reach."""
    if os.environ.get("CONVAE_OFFLINE") != "1":
        from convae_lib import load_mnist  # takes seconds, which most test runs need not wait

        if load_mnist().source == "offline":
            os.environ["CONVAE_OFFLINE"] = "1"
