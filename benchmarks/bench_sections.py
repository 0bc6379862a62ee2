"""Topics of texts from few labels, real data: short descriptions and long documents.

    python benchmarks/bench_sections.py [set ...] [--methods NAME ...] [--seeds N]

Needs the extras `benchmark` and `text`, and Debian's ``apt-get`` and ``dpkg``, which
download once into ``$SKLEARN_CPC_DATA`` (see `real_recordings.py`).

Sections: a text is the English description of a Debian package, one for each source
package; its label is one of the sections below. Documents: a text is a page of the
documentation of the Linux kernel, of 2,000 to 20,000 characters; its label is one of
the folders below, which belong to a part of the kernel each (37 MB, GPL-2). Few: the
sections, but 500 texts alone to learn from.

A third of the texts is for testing. Everything learns its representation from the other
two thirds without labels; then so many labels of each class, or all where there are
fewer, are drawn from them five times for each of three seeds.

Columns, all with LogisticRegression(C=10): TF-IDF, as it is and after LSA, a truncated
SVD to 200 columns, with L2 norm; the untrained model and CPC with their defaults; CPC
with negatives of the same text (the default: of the whole batch), and with
pooling="sif", in which rare tokens count more; CPC beside LSA. "Scaled": StandardScaler
and LogisticRegression, as for series. One thread; seconds of CPU time.

Results are merged into benchmarks/results/NAME.json, from which the table is written.
"""

import argparse
import functools
import gzip
import re
import subprocess
import time
import warnings

import numpy as np
import torch
from bench_recordings import N_LABELS
from few_labels import accuracies, logistic
from measuring import save, saved, table
from real_recordings import FOLDER, from_debian
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, Normalizer

from sklearn_cpc import CPCTextTransformer

SECTIONS = (
    *("admin", "comm", "database", "devel", "editors", "education", "electronics"),
    *("fonts", "games", "graphics", "hamradio", "mail", "math", "net", "science"),
    *("sound", "text", "utils", "video", "web"),
)
FOLDERS = (
    *("arm", "bpf", "core-api", "dev-tools", "filesystems", "gpu", "hwmon", "input"),
    *("mm", "networking", "power", "powerpc", "scsi", "sound", "trace", "virt", "x86"),
)
CHARACTERS = 2_000, 20_000  # the longest ones are mostly tables
N_DRAWS = 5


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


def sections():
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


def documents():
    """Return pages of documentation and the number of the folder of each."""
    shared = from_debian("linux-doc-6.1") / "doc" / "linux-doc-6.1" / "Documentation"
    texts, labels = [], []
    for label, folder in enumerate(FOLDERS):
        for path in sorted((shared / folder).rglob("*.rst.gz")):
            text = gzip.decompress(path.read_bytes()).decode("utf-8", "replace")
            if CHARACTERS[0] <= len(text) <= CHARACTERS[1]:
                texts.append(text)
                labels.append(label)
    return texts, np.array(labels)


def tf_idf():
    """Return weighted counts of words."""
    return TfidfVectorizer(sublinear_tf=True)


def lsa(seed):
    """Return latent semantic analysis, of length 1."""
    return make_pipeline(tf_idf(), TruncatedSVD(200, random_state=seed), Normalizer())


def as_it_is(Z, seed):
    """Return a classifier of features of length 1, or of several such parts."""
    return make_pipeline(FunctionTransformer(), LogisticRegression(C=10, max_iter=300))


def cpc(**options):
    """Return what makes a CPC of texts."""
    return lambda seed: CPCTextTransformer(random_state=seed, **options)


METHODS = {
    "TF-IDF": (lambda seed: tf_idf(), {"TF-IDF": as_it_is}),
    "LSA": (lsa, {"TF-IDF + LSA": as_it_is}),
    "untrained": (
        cpc(max_epochs=0),
        {"untrained": as_it_is, "untrained, scaled": logistic},
    ),
    "CPC": (cpc(), {"CPC": as_it_is, "CPC, scaled": logistic}),
    "same": (cpc(negatives="same_sequence"), {"CPC, same text": as_it_is}),
    "sif": (cpc(pooling="sif"), {"CPC, sif": as_it_is}),
    "both": (None, {"CPC and LSA": as_it_is}),
}
SETS = {"sections": sections, "documents": documents, "few_sections": sections}
LARGEST = {"few_sections": 500}


def rows_of(results):
    """Return the table: accuracies by number of labels, and seconds."""
    names = [n for _, heads in METHODS.values() for n in heads if n in results]
    means = {name: np.mean(results[name]["accuracy"], 0) for name in names}
    rows = [
        [n_labels or "all", *(f"{means[name][i]:.3f}"[1:] for name in names)]
        for i, n_labels in enumerate(N_LABELS)
    ]
    seconds = [f"{np.mean(results[name]['seconds']):.0f}" for name in names]
    return table(["labels a class", *names], [*rows, ["seconds", *seconds]])


@functools.cache
def split(data):
    """Return texts and labels of the training part, then of the test part."""
    texts, y = SETS[data]()
    order = np.random.default_rng(0).permutation(len(texts))
    test, train = np.split(order, [len(texts) // 3])
    train = train[: LARGEST.get(data)]
    return [([texts[i] for i in rows], y[rows]) for rows in (train, test)]


@functools.cache
def features(data, method, seed):
    """Return the features of both parts, and the seconds of CPU time."""
    if method == "both":
        parts = [features(data, part, seed) for part in ("CPC", "LSA")]
        Z, Z_test, seconds = zip(*parts, strict=True)
        return np.hstack(Z), np.hstack(Z_test), sum(seconds)
    (X, _), (X_test, _) = split(data)
    begin = time.process_time()
    representation = METHODS[method][0](seed).fit(X)
    Z, Z_test = (representation.transform(part) for part in (X, X_test))
    return Z, Z_test, time.process_time() - begin


def run(data, methods, seeds):
    """Run some methods on a set and write the results after each."""
    (X, y), (X_test, y_test) = split(data)
    print(f"{data}: {len(X)} texts to train, {len(X_test)} to test", flush=True)
    results = saved(data)
    for method in methods:
        heads = METHODS[method][1]
        found = {name: {"accuracy": [], "seconds": []} for name in heads}
        for seed in range(seeds):
            Z, Z_test, seconds = features(data, method, seed)
            for name, head in heads.items():
                parts = (Z, y), (Z_test, y_test)
                row = accuracies(head, seed, *parts, N_LABELS, range(N_DRAWS))
                found[name]["accuracy"].append(row)
                found[name]["seconds"].append(round(seconds, 1))
                print(seed, name, seconds, row, flush=True)
        results |= found
        save(data, results, rows_of(results), "tokenizers")
    print(rows_of(results))


def main():
    """Run the sets and methods named, all by default."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("sets", nargs="*", choices=[*SETS, []])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    for data in options.sets or SETS:
        run(data, options.methods, options.seeds)


if __name__ == "__main__":
    main()
