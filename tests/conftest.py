"""One thread: on a busy machine torch with two can be a hundred times slower."""

import os

# scikit-learn skips its array API check without it, and reads it on import.
os.environ.setdefault("SCIPY_ARRAY_API", "1")

import torch

torch.set_num_threads(1)
