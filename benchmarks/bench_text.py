"""Linear probes of short texts: which source, and how a movie review judges.

    python benchmarks/bench_text.py [n_seeds]

23,703 snippets with sentiment values (10,605 movie reviews, 3,708 product reviews,
5,190 editorials, 4,200 tweets) from the source distribution of vaderSentiment 3.3.2,
which comes from PyPI with pip, is checked by its SHA-256 and kept in the user's cache
folder (C. J. Hutto, E. Gilbert (2014), VADER, ICWSM; the MIT licence).

Two tasks: which of the four sources a snippet is from, and the sign of a movie
review's sentiment (zeros left out). For each of five seeds, or `n_seeds`, a fifth of
the texts, stratified by source, is for testing. CPC is trained on all texts without
labels and with its defaults. The columns:

- TF-IDF: TfidfVectorizer with its defaults;
- random embeddings: the mean of a fixed random vector for each token, the same tokens
  as CPC's and as many columns as its features;
- untrained: CPCTextTransformer(max_epochs=0), same architecture and pooling;
- CPC.

All have the length 1 and go through LogisticRegression(C=10). Few labels are drawn five
times for each seed, with all classes among them. Architecture and defaults were chosen
on a validation part of the training texts of seed 0. One thread. Writes JSON and tables
to benchmarks/results.
"""

import csv
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from measuring import machine
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer

from sklearn_cpc import CPCTextTransformer

RESULTS = Path(__file__).parent / "results" / "text"
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "sklearn_cpc"
ARCHIVE = "vaderSentiment-3.3.2.tar.gz"
SHA256 = "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9"
SOURCES = {
    "movieReviewSnippets": 10_605,
    "amazonReviewSnippets": 3_708,
    "nytEditorialSnippets": 5_190,
    "tweets": 4_200,
}
N_SEEDS = 5
N_LABELS = (10, 50, 200)
N_DRAWS = 5


def download():
    """Return the path of the source distribution; get it with pip if need be."""
    path = CACHE / ARCHIVE
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        options = ["--no-deps", "--no-binary", ":all:", "--dest", str(CACHE)]
        pip = [sys.executable, "-m", "pip", "download", "-q"]
        subprocess.run([*pip, *options, "vaderSentiment==3.3.2"], check=True)
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != SHA256:
        raise SystemExit(f"{path} has the SHA-256 {found}, not {SHA256}: remove it.")
    return path


def load():
    """Return the texts, the number of the source of each, and the sentiments."""
    with tarfile.open(download()) as outer:
        name = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"
        inner = outer.extractfile(name).read()
    texts, sources, sentiments = [], [], []
    with tarfile.open(fileobj=io.BytesIO(inner)) as archive:
        for i, (name, n_expected) in enumerate(SOURCES.items()):
            file = archive.extractfile(f"hutto_ICWSM_2014/{name}_GroundTruth.txt")
            lines = [line for line in file.read().decode("utf-8").split("\r\n") if line]
            if len(lines) != n_expected:
                raise SystemExit(f"{name} has {len(lines)} texts, not {n_expected}.")
            for line in lines:
                _, sentiment, text = line.split("\t")
                texts.append(text)
                sources.append(i)
                sentiments.append(float(sentiment))
    return texts, np.array(sources), np.array(sentiments)


def few(y, rows, n_labels, rng):
    """Draw rows until all classes are among them."""
    while True:
        drawn = rng.choice(rows, n_labels, replace=False)
        if len(set(y[drawn])) == len(set(y[rows])):
            return drawn


def evaluate(Z, tasks, seed):
    """Return, for each task and number of labels, the accuracies of all draws."""
    results = {}
    for task, (y, train, test) in tasks.items():
        results[task] = {}
        for n_labels in (*N_LABELS, "all"):
            rng = np.random.default_rng(seed)  # the same draws for all columns
            scores = []
            for _ in range(1 if n_labels == "all" else N_DRAWS):
                rows = train if n_labels == "all" else few(y, train, n_labels, rng)
                scores.append(probe().fit(Z[rows], y[rows]).score(Z[test], y[test]))
            results[task][str(n_labels)] = scores
    return results


def probe():
    """Return what judges the features."""
    return make_pipeline(Normalizer(), LogisticRegression(C=10, max_iter=1000))


class RandomEmbeddings:
    """The mean of a random vector for each token of a fitted CPCTextTransformer."""

    def __init__(self, cpc, n_columns, seed):
        self.read = cpc._reader.read
        shape = max(cpc.vocabulary_.values()) + 1, n_columns
        self.vectors = np.random.default_rng(seed).normal(size=shape)

    def transform(self, texts):
        """Return one row for each text."""
        rows = [self.vectors[ids].mean(0) for ids in self.read(texts).ids]
        return np.array(rows, np.float32)


def run(seed, texts, sources, sentiments):
    """Return the results of all columns for one seed."""
    train, test = train_test_split(
        np.arange(len(texts)), test_size=0.2, stratify=sources, random_state=seed
    )
    signed = (sources == 0) & (sentiments != 0)
    tasks = {
        "source": (sources, train, test),
        "sentiment": (sentiments > 0, train[signed[train]], test[signed[test]]),
    }
    results = {}

    def add(name, make_features):
        start = time.perf_counter()
        fitted = make_features()
        fit_seconds = time.perf_counter() - start
        Z = fitted.transform(texts)
        results[name] = {
            "fit_seconds": fit_seconds,
            **evaluate(Z, tasks, seed),
            "total_seconds": time.perf_counter() - start,
        }
        print(seed, name, f"{results[name]['total_seconds']:.0f} s", end="  ")
        print({task: results[name][task]["all"] for task in tasks}, flush=True)
        return fitted, Z.shape[1]

    def cpc(**options):
        return lambda: CPCTextTransformer(random_state=seed, **options).fit(texts)

    add("TF-IDF", lambda: TfidfVectorizer().fit(texts))
    untrained, n_columns = add("untrained", cpc(max_epochs=0))
    add("random embeddings", lambda: RandomEmbeddings(untrained, n_columns, seed))
    add("CPC", cpc())
    return results


COLUMNS = ("TF-IDF", "random embeddings", "untrained", "CPC")
TASKS = {"source": "source, 4 classes", "sentiment": "movie sentiment, 2 classes"}


def table(runs):
    """Return rows of cells, the names of the columns first: mean ± deviation."""
    rows = [["task", "labels", *COLUMNS]]
    for task, title in TASKS.items():
        for n_labels in (*map(str, N_LABELS), "all"):
            cells = []
            for name in COLUMNS:
                scores = [np.mean(run[name][task][n_labels]) for run in runs]
                cells.append(f"{np.mean(scores):.3f} ± {np.std(scores):.3f}")
            rows.append([title, n_labels, *cells])
    for key, title in {"fit": "fit", "total": "fit, transform and probes"}.items():
        seconds = [
            np.mean([run[name][f"{key}_seconds"] for run in runs]) for name in COLUMNS
        ]
        rows.append([f"{title}, seconds", "", *(f"{s:.0f}" for s in seconds)])
    return rows


def write(record):
    """Write the record as JSON, and its table as Markdown and for the docs."""
    text = json.dumps(record, indent=1) + "\n"
    RESULTS.with_suffix(".json").write_text(text, encoding="utf-8")
    rows = table(record["runs"])
    rows.insert(1, ["---"] * len(rows[0]))
    lines = [f"| {' | '.join(row)} |\n" for row in rows]
    RESULTS.with_suffix(".md").write_text("".join(lines), encoding="utf-8")
    del rows[1]
    with RESULTS.with_suffix(".csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
    print("".join(lines))


def main():
    """Run all seeds and write the results after each."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    data = load()
    record = {
        **machine("tokenizers"),
        "runs": [],
    }
    RESULTS.parent.mkdir(exist_ok=True)
    n_seeds = int(sys.argv[1]) if len(sys.argv) > 1 else N_SEEDS
    for seed in range(n_seeds):
        record["runs"].append(run(seed, *data))
        write(record)


if __name__ == "__main__":
    main()
