"""
==============================================
Texts: which library is it from, on few labels
==============================================

Every Python installation is full of real text: docstrings. We take paragraphs of four
libraries, train on all of them without labels, and then tell from a few labelled ones
which library a paragraph is from. Needs ``pip install "sklearn-cpc[plot,text]"``.
"""

import ast
import random
from importlib.util import find_spec
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.manifold import TSNE
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_cpc import CPCTextTransformer

LIBRARIES = ["matplotlib", "scipy", "sklearn", "torch"]


def paragraphs(library, n_texts=1200):
    """Return paragraphs of the docstrings of a library, without importing it."""
    files = sorted(Path(find_spec(library).origin).parent.rglob("*.py"))
    random.Random(0).shuffle(files)
    found = set()
    for file in files:
        if "test" in str(file):
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                docstring = ast.get_docstring(node) or ""
                found |= {
                    " ".join(text.split())
                    for text in docstring.split("\n\n")
                    if 60 < len(text) < 400 and not set(text) & set(">|=`_\\")
                }
        if len(found) >= n_texts:
            break
    return sorted(found)[:n_texts]


texts, y = [], []
for i, library in enumerate(LIBRARIES):
    of_library = paragraphs(library)
    texts += of_library
    y += [i] * len(of_library)
y = np.array(y)
rng = np.random.default_rng(0)
test = np.zeros(len(texts), bool)
test[rng.choice(len(texts), len(texts) // 4, replace=False)] = True
print(f"{len(texts)} paragraphs; one of {LIBRARIES[y[9]]}:\n{texts[9]}")

# %%
# Train on all texts, without labels
# ----------------------------------
# The tokens are learned, too: byte pairs, with a vocabulary that suits the texts.

options = {"vocabulary_size": 3000, "random_state": 0, "n_jobs": 1}
cpc = CPCTextTransformer(max_epochs=8, **options).fit(texts)
untrained = CPCTextTransformer(max_epochs=0, **options).fit(texts)
print("loss by epoch:", *(f"{loss:.2f}" for loss in cpc.loss_curve_))
features = {
    "TF-IDF": TfidfVectorizer().fit_transform(texts),
    "untrained": untrained.transform(texts),
    "CPC": cpc.transform(texts),
}

# %%
# Words that mean similar things
# ------------------------------
# Words that go with the same future have similar embeddings.

model = cpc.net_.module_
embedding = model.encoder.embedding.weight.detach().numpy()
embedding = embedding / np.linalg.norm(embedding, axis=1, keepdims=True)
ids = {t[1:]: i for t, i in cpc.vocabulary_.items() if t[0] == "Ġ" and t[1:].isalpha()}
names, rows = np.array(list(ids)), np.array(list(ids.values()))
for word in ("tensor", "axis", "classifier", "figure", "is", "two"):
    if word in ids:
        similar = rows[np.argsort(-embedding[rows] @ embedding[ids[word]])][1:6]
        print(f"{word:>10s}:", *names[np.searchsorted(rows, np.sort(similar))])

# %%
# A few labels
# ------------

n_labels = [10, 20, 50, 100, 200, 500]
n_draws = 5
accuracy = {name: np.zeros((len(n_labels), n_draws)) for name in features}
train = np.flatnonzero(~test)
for name, Z in features.items():
    scale = [] if name == "TF-IDF" else [StandardScaler()]
    C = 1 if name == "TF-IDF" else 0.01
    for i, n in enumerate(n_labels):
        for draw in range(n_draws):
            few = np.random.default_rng(draw).choice(train, n, replace=False)
            probe = make_pipeline(*scale, LogisticRegression(C=C, max_iter=1000))
            score = probe.fit(Z[few], y[few]).score(Z[test], y[test])
            accuracy[name][i, draw] = score

print("labels    ", *(f"{n:6d}" for n in n_labels))
for name, values in accuracy.items():
    print(f"{name:10s}", *(f"{value:6.3f}" for value in values.mean(1)))

# %%
# What it has learned, without a label
# ------------------------------------
# On the left the test texts, placed so that similar features are near each other.

shown = np.flatnonzero(test)[:800]
Z = StandardScaler().fit_transform(features["CPC"])[shown]
place = TSNE(random_state=0, init="pca", perplexity=40).fit_transform(Z)
fig, (left, right) = plt.subplots(1, 2, figsize=(11, 4.5), layout="constrained")
for i, library in enumerate(LIBRARIES):
    left.scatter(*place[y[shown] == i].T, s=9, alpha=0.7, label=library)
left.set(xticks=[], yticks=[], title="CPC features of paragraphs (t-SNE)")
left.legend(markerscale=2)
for name, values in accuracy.items():
    mean, deviation = values.mean(1), values.std(1)
    (line,) = right.plot(n_labels, mean, marker="o", label=name)
    right.fill_between(
        n_labels, mean - deviation, mean + deviation, color=line.get_color(), alpha=0.15
    )
right.set(
    xscale="log",
    xlabel="labelled paragraphs",
    ylabel="test accuracy",
    title="Which library? Mean and deviation of 5 draws",
)
right.set_xticks(n_labels, [str(n) for n in n_labels])
right.minorticks_off()
right.legend(title="features")
plt.show()
