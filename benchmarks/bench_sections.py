"""Topics of texts from few labels: the sections of Debian's packages, real data.

    python benchmarks/bench_sections.py [method ...]

Needs the extras `benchmark` and `text`, and Debian's ``apt-get``, which downloads the
lists of packages once into ``$SKLEARN_CPC_DATA`` (see `real_recordings.py`). A text is
the English description of a package, one for each source package; its label is one of
the twenty sections below. A third of the texts is for testing. Everything learns its
representation from the other two thirds without labels; then so many labels of each
section are drawn from them five times for each of three seeds.

Columns: TF-IDF with LogisticRegression(C=10), as it is and after LSA, a truncated SVD
to 200 columns, with L2 norm; the untrained model and CPC with their defaults, through
StandardScaler and LogisticRegression ("head": the pipeline for few labels, with PCA and
L2 norm); and CPC beside LSA in a FeatureUnion, with that head. One thread.

Results are merged into benchmarks/results/sections.json, from which the table is
written.
"""

import json
import re
import subprocess
import sys
import time
import warnings

import numpy as np
import torch
from bench_recordings import N_LABELS, accuracies, few_label_head, logistic
from measuring import RESULTS, machine, table
from real_recordings import FOLDER
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import FunctionTransformer, Normalizer

from sklearn_cpc import CPCTextTransformer

SECTIONS = (
    *("admin", "comm", "database", "devel", "editors", "education", "electronics"),
    *("fonts", "games", "graphics", "hamradio", "mail", "math", "net", "science"),
    *("sound", "text", "utils", "video", "web"),
)
SEEDS, N_DRAWS = 3, 5


def stanzas(pattern):
    """Return the parts of apt's lists that match a pattern."""
    folder = FOLDER / "aptlists"
    if not folder.exists():
        (folder / "partial").mkdir(parents=True)
        options = [f"Dir::State::Lists={folder}", "Acquire::Languages=en"]
        subprocess.run(
            ["apt-get", *(part for o in options for part in ("-o", o)), "update"],
            check=True,
        )
    parts = []
    for file in sorted(folder.glob(pattern)):
        command = ["/usr/lib/apt/apt-helper", "cat-file", file]
        text = subprocess.run(command, check=True, capture_output=True).stdout
        parts += text.decode("utf-8", "replace").split("\n\n")
    return parts


def load():
    """Return descriptions and the number of the section of each."""
    described = {}
    for part in stanzas("*_main_i18n_Translation-en*"):
        name = re.search(r"^Package: (\S+)", part, re.M)
        text = re.search(r"^Description-en: (.*(?:\n .*)*)", part, re.M)
        if name and text:
            lines = [line.strip() for line in text[1].split("\n")]
            words = " ".join(line for line in lines if line not in ("", "."))
            described.setdefault(name[1], words)
    of_source = {}
    for part in stanzas("*_main_binary-amd64_Packages*"):
        fields = dict(re.findall(r"^(Package|Source|Section): (\S+)", part, re.M))
        name, section = fields.get("Package"), fields.get("Section")
        if name in described and section in SECTIONS:
            source = fields.get("Source", name)
            row = (len(name), name, section)
            of_source[source] = min(of_source.get(source, row), row)
    rows = [of_source[source] for source in sorted(of_source)]
    texts = [described[name] for _, name, _ in rows]
    return texts, np.array([SECTIONS.index(section) for *_, section in rows])


def tf_idf():
    """Return weighted counts of words."""
    return TfidfVectorizer(sublinear_tf=True)


def lsa(seed):
    """Return latent semantic analysis, of length 1."""
    return make_pipeline(tf_idf(), TruncatedSVD(200, random_state=seed), Normalizer())


def as_it_is(Z, seed):
    """Return a classifier of features of length 1."""
    return make_pipeline(FunctionTransformer(), LogisticRegression(C=10, max_iter=300))


def both(seed):
    """Return CPC and LSA side by side."""
    cpc = CPCTextTransformer(random_state=seed)
    return FeatureUnion([("cpc", cpc), ("lsa", lsa(seed))])


METHODS = {
    "TF-IDF": (lambda seed: tf_idf(), {"TF-IDF": as_it_is}),
    "LSA": (lsa, {"TF-IDF + LSA": as_it_is}),
    "untrained": (
        lambda seed: CPCTextTransformer(max_epochs=0, random_state=seed),
        {"untrained": logistic, "untrained, head": few_label_head},
    ),
    "CPC": (
        lambda seed: CPCTextTransformer(random_state=seed),
        {"CPC": logistic, "CPC, head": few_label_head},
    ),
    "both": (both, {"CPC and LSA, head": few_label_head}),
}


def rows_of(results):
    """Return the table: accuracies by number of labels, and seconds."""
    names = [n for _, heads in METHODS.values() for n in heads if n in results]
    means = {name: np.mean(results[name]["accuracy"], 0) for name in names}
    rows = [
        [n_labels or "all", *(f"{means[name][i]:.3f}"[1:] for name in names)]
        for i, n_labels in enumerate(N_LABELS)
    ]
    seconds = [f"{np.mean(results[name]['seconds']):.0f}" for name in names]
    return table(["labels a section", *names], [*rows, ["seconds", *seconds]])


def main():
    """Run the methods named, all by default, and write the results after each."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    texts, y = load()
    order = np.random.default_rng(0).permutation(len(texts))
    test, train = np.split(order, [len(texts) // 3])
    X, X_test = ([texts[i] for i in rows] for rows in (train, test))
    print(f"{len(X)} texts to train, {len(X_test)} to test", flush=True)
    path = RESULTS / "sections.json"
    results = json.loads(path.read_text("utf-8"))["results"] if path.exists() else {}
    for method in sys.argv[1:] or METHODS:
        make, heads = METHODS[method]
        found = {name: {"accuracy": [], "seconds": []} for name in heads}
        for seed in range(SEEDS):
            begin = time.perf_counter()
            representation = make(seed).fit(X)
            Z, Z_test = (representation.transform(part) for part in (X, X_test))
            seconds = round(time.perf_counter() - begin, 1)
            for name, head in heads.items():
                parts = (Z, y[train]), (Z_test, y[test])
                found[name]["accuracy"].append(accuracies(head, seed, *parts, N_DRAWS))
                found[name]["seconds"].append(seconds)
                print(seed, name, seconds, found[name]["accuracy"][-1], flush=True)
        results |= found
        record = {**machine("tokenizers"), "results": results}
        path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        path.with_suffix(".md").write_text(rows_of(results) + "\n", encoding="utf-8")
    print(rows_of(results))


if __name__ == "__main__":
    main()
