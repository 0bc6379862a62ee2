"""One thread: on a busy machine torch with two can be a hundred times slower.

Nothing large is imported here: the process of pytest-xdist that hands out the tests
needs no torch, and reads this file before the others start.
"""

import os

import pytest

# torch and numpy read it on import; processes that tests start inherit it.
os.environ["OMP_NUM_THREADS"] = "1"
# scikit-learn skips its array API check without it, and reads it on import.
os.environ.setdefault("SCIPY_ARRAY_API", "1")

# Files whose tests share processes or fits: each stays in one worker of pytest-xdist,
# or every worker would set them up. The mark xdist_group does nothing with pytest 9.2.
TOGETHER = (
    "test_cluster.py",
    "test_other_processes.py",
    "test_parallel.py",
    "test_reproducibility.py",
    "test_suitable_checks.py",
    "test_training.py",
)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Hand out tests one by one, and those of some files together, which come first."""
    from xdist.scheduler import LoadScopeScheduling

    class Scheduler(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            path = nodeid.split("::")[0]
            return path if path.endswith(TOGETHER) else nodeid

    return Scheduler(config, log)
