"""Accuracy with few labels: classifiers of features, and draws of labels.

A head is a function of the features of all training sequences and of a seed. It returns
a pipeline; every step but the last is fitted already.
"""

import numpy as np
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, RidgeClassifierCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler

from sklearn_cpc.preprocessing import GroupProjection


def logistic(Z, seed):
    """Return a classifier of scaled features."""
    return make_pipeline(
        StandardScaler().fit(Z), LogisticRegression(max_iter=300, tol=1e-3)
    )


def few_label_head(Z, seed, groups=None):
    """Return the head for few labels: all but the classifier has seen all features.

    With groups, it removes the directions in which they differ.
    """
    some = np.random.default_rng(seed).permutation(len(Z))[:4000]
    steps = [StandardScaler().fit(Z)]
    Z = steps[0].transform(Z)
    if groups is not None:
        steps.append(GroupProjection().fit(Z, groups=groups))
        Z = steps[1].transform(Z)
    steps.append(PCA(0.95, random_state=seed).fit(Z[some]))
    classifier = LogisticRegression(C=100, max_iter=300, tol=1e-3)
    return make_pipeline(*steps, Normalizer(), classifier)


def forest(Z, seed):
    """Return a random forest, which needs no scaling."""
    return make_pipeline(RandomForestClassifier(300, random_state=seed))


def ridge(Z, seed):
    """Return the classifier of the MiniRocket family."""
    alphas = np.logspace(-3, 3, 10)
    scaler = StandardScaler(with_mean=False).fit(Z)
    return make_pipeline(scaler, RidgeClassifierCV(alphas=alphas))


def draw(y, n_labels, seed):
    """Return the rows of so many random samples of each class."""
    rng = np.random.default_rng(seed)
    rows = [rng.permutation(np.flatnonzero(y == label)) for label in np.unique(y)]
    return np.concatenate([of_class[:n_labels] for of_class in rows if len(of_class)])


def accuracies(head, seed, train, test, numbers, draws):
    """Return the mean accuracy over draws, by number of labels.

    Only the last step of the head is fitted on labels: the others see all features.

    Parameters
    ----------
    head : callable
        ``(Z, seed) -> Pipeline``.
    seed : int
    train, test : tuple of ndarray
        Features and labels, -1 where nobody knows them.
    numbers : sequence of int or None
        Labels of each class; None takes all, once.
    draws : sequence of int
        Seeds of the draws.
    """
    (Z, y), (Z_test, y_test) = train, test
    *before, (_, classifier) = head(Z, seed).steps
    for _, step in before:
        Z, Z_test = step.transform(Z), step.transform(Z_test)
    labelled, means = np.flatnonzero(y >= 0), []
    for n_labels in numbers:
        scores = []
        for number in draws if n_labels else draws[:1]:
            rows = labelled[draw(y[labelled], n_labels, number)]
            scores.append(classifier.fit(Z[rows], y[rows]).score(Z_test, y_test))
        means.append(round(float(np.mean(scores)), 4))
    return means


def cell(accuracy):
    """Return an accuracy as text."""
    return "-" if np.isnan(accuracy) else f"{accuracy:.3f}".removeprefix("0")
