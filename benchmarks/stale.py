"""Which results are of other default parameters than today's.

    python benchmarks/stale.py

Prints a line for each file of `results/` that was measured with other defaults, or by a
script that did not record them, and exits with 1 if there is one. Run the scripts that
it names again before a release.
"""

import json
import sys

from measuring import RESULTS, defaults


def changes(record):
    """Return how the defaults of a record differ from today's, a text for each."""
    if "defaults" not in record:
        return ["the defaults are not recorded"]
    return [
        f"{estimator}: {name} was {old.get(name, 'absent')}, is {new.get(name, 'gone')}"
        for estimator, new in defaults().items()
        for old in [record["defaults"].get(estimator, {})]
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    ]


def main():
    """Print what is stale."""
    stale = False
    for path in sorted(RESULTS.glob("*.json")):
        record = json.loads(path.read_text("utf-8"))
        for change in changes(record):
            stale = True
            print(f"{path.name} ({record.get('commit', 'commit unknown')}): {change}")
    sys.exit(stale)


if __name__ == "__main__":
    main()
