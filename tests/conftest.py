"""One thread: on a busy machine torch with two can be a hundred times slower.

Nothing is imported here: the process of pytest-xdist that hands out the tests needs
no torch, and reads this file before the others start.
"""

import os

# torch and numpy read it on import; processes that tests start inherit it.
os.environ["OMP_NUM_THREADS"] = "1"
# scikit-learn skips its array API check without it, and reads it on import.
os.environ.setdefault("SCIPY_ARRAY_API", "1")
