"""Few labels: accuracy with 1, 2, 5 and 10 labelled sequences of each class.

    python benchmarks/bench_labels.py [method ...]

Needs the extras `benchmark` and `plot`. The sets and splits are those of
bench_classification.py. What needs no labels (CPC, StandardScaler, MiniRocket's
transform) sees all training sequences; the labels are those of 10 draws of so many
sequences of each class, or of all where a class has fewer, for each of 5 seeds for what
else is random. CPC, the untrained model and raw values go through StandardScaler and
LogisticRegression, MiniRocket through its own ridge classifier. The supervised network
has the architecture, initial weights and pooling of CPC and a linear layer, all trained
on the labelled sequences; as it is slow, with one seed.

Results are merged into benchmarks/results/labels.json, from which a Markdown table
and a figure are written.
"""

import json
import sys
import warnings
from pathlib import Path

import numpy as np
import torch
from bench_classification import SEEDS, SETS, Padded, load, padded
from measuring import machine
from sklearn.linear_model import LogisticRegression, RidgeClassifierCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import LabelEncoder, StandardScaler
from torch import nn

from sklearn_cpc import CPCTransformer
from sklearn_cpc.nn.features import PooledFeatures

RESULTS = Path(__file__).parent / "results" / "labels.json"
N_LABELS = (1, 2, 5, 10)
N_DRAWS = 10
N_UPDATES, N_ROWS = 100, 32  # of the supervised network


def draw(y, n_labels, seed):
    """Return the rows of so many random samples of each class."""
    rng = np.random.default_rng(seed)
    rows = [rng.permutation(np.flatnonzero(y == label)) for label in np.unique(y)]
    return np.concatenate([of_class[:n_labels] for of_class in rows])


def accuracies(classifier, Z, y, Z_test, y_test):
    """Return, for each draw, the accuracy by number of labels."""
    return [
        [
            classifier.fit(Z[rows], y[rows]).score(Z_test, y_test)
            for rows in (draw(y, n_labels, number) for n_labels in N_LABELS)
        ]
        for number in range(N_DRAWS)
    ]


def probe(make):
    """Return a method: features, scaled as they all are, then a linear probe."""

    def run(seed, train, test):
        representation = make(seed).fit(train[0])
        Z, Z_test = (representation.transform(X) for X, _ in (train, test))
        scaler = StandardScaler().fit(Z)
        Z, Z_test = scaler.transform(Z), scaler.transform(Z_test)
        classifier = LogisticRegression(max_iter=1000)
        return accuracies(classifier, Z, train[1], Z_test, test[1])

    return run


def minirocket(seed, train, test):
    """Return the same of MiniRocket and its ridge classifier."""
    from aeon.transformations.collection.convolution_based import MiniRocket

    n_steps = max(max(map(len, train[0])), 9)
    X, X_test = (padded(X, n_steps).transpose(0, 2, 1) for X, _ in (train, test))
    rocket = MiniRocket(random_state=seed, n_jobs=1).fit(np.float32(X))
    Z, Z_test = (np.float32(rocket.transform(np.float32(A))) for A in (X, X_test))
    classifier = make_pipeline(
        StandardScaler(with_mean=False),
        RidgeClassifierCV(alphas=np.logspace(-3, 3, 10)),
    )
    return accuracies(classifier, Z, train[1], Z_test, test[1])


class Supervised(nn.Module):
    """The untrained CPC model, its features standardised, and a linear layer."""

    def __init__(self, cpc, X, n_classes):
        super().__init__()
        self.features = PooledFeatures(cpc.net_.module_, cpc.features, cpc.pooling)
        Z = cpc.transform(X)
        self.register_buffer("mean", torch.from_numpy(Z.mean(0)))
        # What hardly varies before training may vary a lot after an update.
        self.register_buffer("std", torch.from_numpy(Z.std(0)).clamp(min=0.1))
        self.linear = nn.Linear(Z.shape[1], n_classes)

    def forward(self, x, lengths):
        """Return the logits."""
        return self.linear((self.features(x, lengths) - self.mean) / self.std)


def supervised(seed, train, test):
    """Return the same of the network trained on the labelled sequences alone."""
    (X, y), (X_test, y_test) = train, test
    encoder = LabelEncoder().fit(y)
    y, y_test = (encoder.transform(labels) for labels in (y, y_test))
    results = []
    for number in range(N_DRAWS):
        results.append([])
        for n_labels in N_LABELS:
            rows = draw(y, n_labels, number)
            cpc = CPCTransformer(max_epochs=0, random_state=seed).fit(X)
            torch.manual_seed(seed)
            net = Supervised(cpc, X, len(encoder.classes_))
            read = cpc._read(X, reset=False)
            optimizer = torch.optim.AdamW(net.parameters(), lr=cpc.lr)
            rng = np.random.default_rng(number)
            for _ in range(N_UPDATES):
                some = rng.permutation(rows)[:N_ROWS]
                x, lengths = map(torch.from_numpy, read.batch(some))
                loss = nn.functional.cross_entropy(
                    net(x, lengths), torch.from_numpy(y[some])
                )
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            read_test = cpc._read(X_test, reset=False)
            with torch.no_grad():
                predicted = [
                    net(*map(torch.from_numpy, read_test.batch(part))).argmax(1)
                    for part in np.array_split(
                        np.arange(len(X_test)), -(-len(X_test) // N_ROWS)
                    )
                ]
            results[-1].append(np.mean(torch.cat(predicted).numpy() == y_test))
    return results


METHODS = {
    "raw values": probe(lambda seed: Padded()),
    "supervised": supervised,
    "untrained": probe(lambda seed: CPCTransformer(max_epochs=0, random_state=seed)),
    "CPC": probe(lambda seed: CPCTransformer(random_state=seed)),
    "MiniRocket": minirocket,
}


def run(name):
    """Return, for each set, seed and draw, the accuracy by number of labels."""
    seeds = SEEDS[:1] if name == "supervised" else SEEDS
    results = {}
    for data in SETS:
        parts = load(data, "train"), load(data, "test")
        draws = [draw for seed in seeds for draw in METHODS[name](seed, *parts)]
        results[data] = np.round(draws, 4).tolist()
        print(f"{name:12s} {data:22s} {np.mean(draws, 0).round(3)}", flush=True)
    return results


def table(results):
    """Return the means over draws, by set and number of labels."""
    names = [name for name in METHODS if name in results]
    lines = [f"| data set | labels | {' | '.join(names)} |"]
    lines.append("|---" * (len(names) + 2) + "|")
    means = {  # name: (sets, numbers of labels)
        name: np.array([np.mean(results[name][data], 0) for data in SETS])
        for name in names
    }
    for i, data in enumerate(SETS):
        for j, n_labels in enumerate(N_LABELS):
            cells = [f"{means[name][i, j]:.3f}" for name in names]
            lines.append(f"| {data} | {n_labels} | {' | '.join(cells)} |")
    for j, n_labels in enumerate(N_LABELS):
        cells = [f"{means[name][:, j].mean():.3f}" for name in names]
        lines.append(f"| **mean** | {n_labels} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def figure(results, path):
    """Draw the means over sets; the bands are their deviations over draws and seeds."""
    import matplotlib.pyplot as plt

    _, ax = plt.subplots(figsize=(6, 4), layout="constrained")
    for name in METHODS:
        if name not in results:
            continue
        of_draws = np.mean([results[name][data] for data in SETS], axis=0)
        mean, deviation = of_draws.mean(0), of_draws.std(0)
        (line,) = ax.plot(N_LABELS, mean, marker="o", label=name)
        ax.fill_between(
            N_LABELS,
            mean - deviation,
            mean + deviation,
            color=line.get_color(),
            alpha=0.2,
        )
    ax.set(
        xscale="log",
        xticks=N_LABELS,
        xticklabels=N_LABELS,
        xlabel="labelled sequences of each class",
        ylabel="test accuracy, mean of eight sets",
    )
    ax.minorticks_off()
    ax.legend()
    plt.savefig(path, dpi=120)


def main():
    """Run the methods named, all by default, and write the results."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    saved = json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else {}
    results = saved.get("results", {})
    for name in sys.argv[1:] or METHODS:
        results[name] = run(name)
        record = {**machine("aeon"), "results": results}
        RESULTS.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        RESULTS.with_suffix(".md").write_text(table(results), "utf-8")
    figure(results, RESULTS.with_suffix(".png"))
    print(table(results))


if __name__ == "__main__":
    main()
