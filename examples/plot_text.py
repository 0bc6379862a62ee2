"""
==============================================
Texts: which library is it from, on few labels
==============================================

Every Python installation contains real text: docstrings. We train on paragraphs of four
libraries without labels. Then a classifier recognises the library of a paragraph from
few labels. Needs the extras ``plot`` and ``text``.
"""

import ast
import random
from importlib.util import find_spec
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from sklearn_cpc import CPCTextTransformer

LIBRARIES = ["matplotlib", "scipy", "sklearn", "torch"]


def paragraphs(library, n_texts=800):
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
                    if 60 < len(text) < 400 and "---" not in text and ">>>" not in text
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
print(f"{len(texts)} paragraphs; one of {LIBRARIES[y[60]]}:\n{texts[60]}")

# %%
# Train on all texts, without labels
# ----------------------------------
# The tokens are byte pairs, learned from the texts. Their vectors are computed from the
# tokens that occur in the same texts. Training learns the contexts.

options = {"random_state": 0, "n_jobs": 1}
cpc = CPCTextTransformer(**options).fit(texts)
untrained = CPCTextTransformer(max_epochs=0, **options).fit(texts)
print("loss by epoch:", *(f"{loss:.2f}" for loss in cpc.loss_curve_))
features = {
    "TF-IDF": TfidfVectorizer().fit_transform(texts),
    "untrained": untrained.transform(texts),
    "CPC": cpc.transform(texts),
}

# %%
# A few labels
# ------------

n_labels = [10, 20, 50, 100, 200, 500]
n_draws = 5
accuracy = {name: np.zeros((len(n_labels), n_draws)) for name in features}
train = np.flatnonzero(~test)
for name, Z in features.items():
    for i, n in enumerate(n_labels):
        for draw in range(n_draws):
            few = np.random.default_rng(draw).choice(train, n, replace=False)
            probe = LogisticRegression(C=10, max_iter=1000)
            score = probe.fit(Z[few], y[few]).score(Z[test], y[test])
            accuracy[name][i, draw] = score

print("labels    ", *(f"{n:6d}" for n in n_labels))
for name, values in accuracy.items():
    print(f"{name:10s}", *(f"{value:6.3f}" for value in values.mean(1)))

# %%
# The fewer labels, the larger the gain
# -------------------------------------
# Word counts need many labels, because a word means nothing until it occurs in a
# labelled text. Token vectors know which words go together; contexts know their order.

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for name, values in accuracy.items():
    mean, deviation = values.mean(1), values.std(1)
    (line,) = ax.plot(n_labels, mean, marker="o", label=name)
    ax.fill_between(
        n_labels, mean - deviation, mean + deviation, color=line.get_color(), alpha=0.15
    )
ax.axhline(1 / len(LIBRARIES), color="0.6", linestyle=":", label="guessing")
ax.set(
    xscale="log",
    xlabel="labelled paragraphs",
    ylabel="test accuracy",
    title="Which library is a paragraph from? 5 draws of labels",
)
ax.set_xticks(n_labels, [str(n) for n in n_labels])
ax.minorticks_off()
ax.legend(title="features")
plt.show()
