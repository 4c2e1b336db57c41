"""Load MNIST once, before the notebooks do: download it, or find that it is out of reach.

Prints 1 if the embedded tier must serve, else 0: the value of CONVAE_OFFLINE for all that follows,
so that an unreachable mirror is waited for once. Everything else goes to stderr.
"""

import sys
from contextlib import redirect_stdout

from convae_lib import load_mnist

with redirect_stdout(sys.stderr):
    data = load_mnist()
    print(data)
print(int(data.source == "embedded"))
