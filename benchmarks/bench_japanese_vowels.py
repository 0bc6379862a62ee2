"""Speaker recognition on the Japanese vowels: raw values, untrained model, CPC.

    python benchmarks/bench_japanese_vowels.py

Every representation goes through StandardScaler and LogisticRegression. CPC and
the untrained model (same architecture, same pooling, max_epochs=0) see all 270
training utterances without labels. "All labels" is the official split, 5 seeds;
"5 per speaker" draws 45 labelled utterances ten times for each seed. One thread.
Writes JSON and a Markdown table to benchmarks/results.
"""

import json
import time
from pathlib import Path

import numpy as np
import torch
from measuring import machine
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_cpc import CPCTransformer
from sklearn_cpc.datasets import load_japanese_vowels

SEEDS = range(5)
N_LABELS = 5
N_DRAWS = 10
RESULTS = Path(__file__).parent / "results" / "japanese_vowels"


class PaddedValues:
    """The values themselves, padded with zeros to the longest utterance."""

    def fit(self, X):
        """Note the longest length."""
        self.n_steps = max(map(len, X))
        return self

    def transform(self, X):
        """Return one row for each utterance."""
        rows = np.zeros((len(X), self.n_steps, X[0].shape[1]))
        for row, x in zip(rows, X, strict=True):
            row[: len(x)] = x[: self.n_steps]
        return rows.reshape(len(X), -1)


def classifier():
    """Return what judges the features."""
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))


def few_labels(y, rng):
    """Draw the rows of a few labelled samples of each class."""
    draws = [
        rng.choice(np.flatnonzero(y == label), N_LABELS, replace=False)
        for label in np.unique(y)
    ]
    return np.concatenate(draws)


def evaluate(make_representation):
    """Return accuracies and fit seconds of one representation over all seeds."""
    X, y = load_japanese_vowels(split="train", return_X_y=True)
    X_test, y_test = load_japanese_vowels(split="test", return_X_y=True)
    all_labels, few, seconds = [], [], []
    for seed in SEEDS:
        start = time.perf_counter()
        representation = make_representation(seed).fit(X)
        seconds.append(time.perf_counter() - start)
        train, test = representation.transform(X), representation.transform(X_test)
        all_labels.append(classifier().fit(train, y).score(test, y_test))
        rng = np.random.default_rng(seed)  # the same draws for all representations
        for _ in range(N_DRAWS):
            rows = few_labels(y, rng)
            few.append(classifier().fit(train[rows], y[rows]).score(test, y_test))
    return {"all_labels": all_labels, "few_labels": few, "fit_seconds": seconds}


def main():
    """Run everything and write the results."""
    torch.set_num_threads(1)
    representations = {
        "raw values, padded": lambda seed: PaddedValues(),
        "untrained model": lambda seed: CPCTransformer(max_epochs=0, random_state=seed),
        "CPC": lambda seed: CPCTransformer(random_state=seed),
    }
    results = {name: evaluate(make) for name, make in representations.items()}
    lines = [
        "| features | all 270 labels | 5 labels per speaker | fit, seconds |",
        "|---|---|---|---|",
    ]
    for name, result in results.items():
        cells = [
            f"{np.mean(result[column]):.3f} ± {np.std(result[column]):.3f}"
            for column in ("all_labels", "few_labels")
        ]
        lines.append(
            f"| {name} | {' | '.join(cells)} | {np.mean(result['fit_seconds']):.1f} |"
        )
    table = "\n".join(lines)
    print(table)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.with_suffix(".md").write_text(table + "\n", encoding="utf-8")
    RESULTS.with_suffix(".json").write_text(
        json.dumps({**machine(), "results": results}, indent=1) + "\n", encoding="utf-8"
    )


if __name__ == "__main__":
    main()
