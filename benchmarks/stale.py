"""Which results are of other default parameters than today's.

    python benchmarks/stale.py

Prints a line for each file of `results/` that was measured with other defaults of the
estimators that its script names, or by a script that did not record them, and exits
with 1 if there is one. Run the scripts that it names again before a release.
"""

import json
import sys
from pathlib import Path

from measuring import RESULTS, defaults


def measured(name):
    """Return the names of the estimators in the script that writes a result."""
    scripts = sorted(Path(__file__).parent.glob("bench_*.py"))
    texts = {p.stem.removeprefix("bench_"): p.read_text("utf-8") for p in scripts}
    named = [script for script in texts if name.startswith(script)]
    # Or a script with several sets, each with results of its own.
    mentioned = [script for script in texts if f'"{name}"' in texts[script]]
    script = max(named, key=len) if named else mentioned[0]
    return [estimator for estimator in defaults() if f"{estimator}(" in texts[script]]


def changes(record, estimators):
    """Return how the defaults of a record differ from today's, a text for each.

    A parameter that was added as None changes nothing.
    """
    if "defaults" not in record:
        return ["the defaults are not recorded"]
    today = defaults()
    return [
        f"{estimator}: {name} was {old.get(name, 'absent')}, is {new.get(name, 'gone')}"
        for estimator in estimators
        for old, new in [(record["defaults"].get(estimator, {}), today[estimator])]
        for name in sorted(old.keys() | new.keys())
        if old.get(name, "None") != new.get(name)
    ]


def main():
    """Print what is stale."""
    stale = False
    for path in sorted(RESULTS.glob("*.json")):
        record = json.loads(path.read_text("utf-8"))
        for change in changes(record, measured(path.stem)):
            stale = True
            print(f"{path.name} ({record.get('commit', 'commit unknown')}): {change}")
    sys.exit(stale)


if __name__ == "__main__":
    main()
