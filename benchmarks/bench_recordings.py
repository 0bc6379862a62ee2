"""Few labels on recordings of people and speakers never seen, real data.

    python benchmarks/bench_recordings.py [task ...] [--methods CPC ...] [--seeds 3]

Needs the extras `benchmark` and `plot`; `real_recordings.py` says what is downloaded.
Everything learns its representation from the training recordings without labels. Labels
are drawn from them, so many of each class, five times for each of three seeds; "all"
takes all.
The test part has other people, prompts, syllables or characters:

- activities: windows of 128 steps (2.56 s) of six channels, trained on the 20 people
  with numbers that 3 does not divide, their unlabelled windows included, and tested on
  the other 10; six activities. Groups are the people.
- activities, step by step: twelve activities at every step of whole recordings, from
  the labels of one, three or ten recordings; balanced accuracy on new people. CPC is
  trained on the windows above; features of steps are of a window of the past 128 steps.
- voices: which of eight voices speaks a prompt that nobody spoke in training.
- initials, finals: of Mandarin syllables never heard, by two speakers, the groups.
- radicals: of characters drawn as pen strokes.

Columns: raw values (resampled to 64 steps) or, of speech, mean and deviation of log-mel
spectra; MiniRocket, and Hydra with MultiRocket, of aeon, both with the classifier that
the authors use, on log-mel spectra for speech; the untrained model; and CPC with its
defaults, `encoder="log_mel"` for speech. Raw values, untrained and CPC go through
StandardScaler and LogisticRegression; "head" is the pipeline that the documentation
recommends for few labels, with PCA and L2 norm, and "groups" adds `GroupProjection` to
it where there are groups; "forest" is a random forest of 300 trees. One thread.

Results are merged into benchmarks/results/recordings.json, from which the tables and
the figure are written.
"""

import argparse
import functools
import time
import warnings

import numpy as np
import real_recordings
import torch
from few_labels import accuracies, cell, few_label_head, forest, logistic, ridge
from measuring import RESULTS, save, saved, table
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_cpc import CPCTransformer
from sklearn_cpc.nn import LogMel

N_LABELS = (1, 5, 20, None)
N_RECORDINGS = (1, 3, 10)  # with labels of their steps
WINDOW = 128
SECONDS, GROUPS = "seconds", ", groups"


# ---- tasks: training sequences, labels (None for none), groups; test sequences, labels


def third(names):
    """Return True for the rows of a random third of the names."""
    distinct = np.unique(names)
    chosen = np.random.default_rng(0).permutation(distinct)[: len(distinct) // 3]
    return np.isin(names, chosen)


def activities():
    """Windows of new people."""
    recordings, steps, people = real_recordings.activities()
    X, y, origin = real_recordings.windows(recordings, steps, WINDOW)
    groups = people[origin]
    test = groups % 3 == 0
    labelled = test & (y >= 0)
    return X[~test], y[~test], groups[~test], X[labelled], y[labelled]


def voices():
    """Voices of new prompts."""
    X, voice, names = real_recordings.voices()
    X, test = np.array(X, dtype=object), third(names)
    return list(X[~test]), voice[~test], None, list(X[test]), voice[test]


def syllables(which):
    """Return a task: initials or finals of new syllables."""

    def make():
        X, speaker, names, *parts = real_recordings.syllables()
        part, X = parts[which], np.array(X, dtype=object)
        _, number, count = np.unique(part, return_inverse=True, return_counts=True)
        y = np.where((count[number] >= 40) & (part != ""), number, -1)
        test = third(names)
        new = test & (y >= 0)
        return list(X[~test]), y[~test], speaker[~test], list(X[new]), y[new]

    return make


def radicals():
    """Radicals of new characters."""
    X, radical = real_recordings.characters()
    _, number, count = np.unique(radical, return_inverse=True, return_counts=True)
    y = np.where((count[number] >= 40) & (radical != ""), number, -1)
    X, test = np.array(X, dtype=object), third(np.arange(len(X)))
    new = test & (y >= 0)
    return list(X[~test]), y[~test], None, list(X[new]), y[new]


TASKS = {
    "activities": activities,
    "voices": voices,
    "initials": syllables(0),
    "finals": syllables(1),
    "radicals": radicals,
}
SPEECH = ("voices", "initials", "finals")


# ---- representations: (task, training sequences, groups, seed) -> transform


def log_mel(X):
    """Return log-mel spectra, (T, 40) each."""
    with torch.inference_mode():
        waveforms = (torch.from_numpy(np.float32(x / np.std(x))) for x in X)
        return [LogMel()(x[None, :, None])[0].numpy() for x in waveforms]


def resampled(X, n_steps=64):
    """Return (n, n_steps * C): every sequence stretched to the same length."""

    def stretch(x):
        places = np.linspace(0, len(x) - 1, n_steps)
        return [np.interp(places, np.arange(len(x)), channel) for channel in x.T]

    return np.array([np.ravel(stretch(x)) for x in X])


def raw(task, X, groups, seed):
    """Raw values, or means and deviations of log-mel spectra."""
    if task not in SPEECH:
        return resampled
    return lambda X: np.array([np.r_[s.mean(0), s.std(0)] for s in log_mel(X)])


def cpc(**options):
    """Return the representation of a `CPCTransformer`."""

    def make(task, X, groups, seed):
        encoder = {"encoder": "log_mel"} if task in SPEECH else {}
        model = CPCTransformer(random_state=seed, **encoder, **options)
        return model.fit(X, groups=groups).transform

    return make


def of_aeon(name):
    """Return the representation of a transformer of aeon, padded to equal lengths."""

    def make(task, X, groups, seed):
        from aeon.transformations.collection import convolution_based

        spectra = log_mel if task in SPEECH else list
        X = spectra(X)
        n_steps = max(9, int(np.quantile([len(x) for x in X], 0.95)))

        def padded(X):
            array = np.zeros((len(X), X[0].shape[1], n_steps), np.float32)
            for row, x in zip(array, X, strict=True):
                row[:, : len(x)] = x[:n_steps].T
            return array

        parts = [
            getattr(convolution_based, part)(random_state=seed).fit(padded(X))
            for part in name.split("+")
        ]

        def transform(X):
            X = padded(spectra(X))
            return np.hstack([np.float32(part.transform(X)) for part in parts])

        return transform

    return make


METHODS = {
    "raw": (raw, {"raw": logistic}),
    "untrained": (
        cpc(max_epochs=0),
        {
            "untrained": logistic,
            "untrained, head": few_label_head,
            "untrained, forest": forest,
        },
    ),
    "CPC": (
        cpc(),
        {
            "CPC": logistic,
            "CPC, head": few_label_head,
            "CPC, head" + GROUPS: few_label_head,
            "CPC, forest": forest,
        },
    ),
    "MiniRocket": (of_aeon("MiniRocket"), {"MiniRocket": ridge}),
    "Hydra": (of_aeon("HydraTransformer+MultiRocket"), {"Hydra + MultiRocket": ridge}),
}


# ---- running


def run(task, methods, seeds, n_draws):
    """Yield accuracies and seconds of some methods, with more each time."""
    X, y, groups, X_test, y_test = TASKS[task]()
    results = {}
    for seed in range(seeds):
        for name in methods:
            make, heads = METHODS[name]
            begin = time.perf_counter()
            transform = make(task, X, groups, seed)
            Z, Z_test = transform(X), transform(X_test)
            seconds = round(time.perf_counter() - begin, 1)
            for column, head in heads.items():
                if column.endswith(GROUPS):
                    if groups is None:
                        continue
                    head = functools.partial(head, groups=groups)
                parts = (Z, y), (Z_test, y_test)
                row = accuracies(head, seed, *parts, N_LABELS, range(n_draws))
                found = results.setdefault(column, {"accuracy": [], SECONDS: []})
                found["accuracy"].append(row)
                found[SECONDS].append(seconds)
                print(f"{task:12s} {seed} {column:20s} {seconds:6.0f} s {row}", flush=1)
                yield results


def step_features(method, seed, recordings, X, groups):
    """Return features of all steps of recordings, and the steps between them."""
    if method == "raw":
        return recordings, 1
    options = {"max_epochs": 0} if method == "untrained" else {}
    model = CPCTransformer(random_state=seed, step_window=WINDOW, **options)
    model.fit(X, groups=groups)
    return model.transform_steps(recordings), model.downsampling_


def steps(seeds, n_draws):
    """Yield balanced accuracies of activities at every step, with more each time."""
    recordings, labels, people = real_recordings.activities()
    X, _, origin = real_recordings.windows(recordings, labels, WINDOW)
    test = people % 3 == 0
    train = ~test[origin]
    results = {}
    for seed in range(seeds):
        for method in ("raw", "untrained", "CPC"):
            features, every = step_features(
                method, seed, recordings, X[train], people[origin][train]
            )
            y = [label[::every] for label in labels]
            rng, row = np.random.default_rng(seed), []
            choice = [rng.permutation(np.flatnonzero(~test)) for _ in range(n_draws)]
            for n in N_RECORDINGS:
                scores = []
                for rows in choice:
                    Z = np.concatenate([features[i] for i in rows[:n]])
                    Y = np.concatenate([y[i] for i in rows[:n]])
                    some = rng.permutation(np.flatnonzero(Y >= 0))[:4000]
                    head = make_pipeline(
                        StandardScaler(),
                        LogisticRegression(C=0.1, class_weight="balanced"),
                    ).fit(Z[some], Y[some])
                    where = np.flatnonzero(test)
                    predicted = [head.predict(features[i][::5]) for i in where]
                    true = np.concatenate([y[i][::5] for i in where])
                    known = true >= 0
                    scores.append(
                        balanced_accuracy_score(
                            true[known], np.concatenate(predicted)[known]
                        )
                    )
                row.append(round(float(np.mean(scores)), 4))
            found = results.setdefault(method, {"accuracy": []})
            found["accuracy"].append(row)
            print(f"steps {seed} {method:12s} {row}", flush=True)
            yield results


def mean_accuracy(of_task, name):
    """Return the mean over the seeds, by number of labels; NaN if nothing was run."""
    if name not in of_task:
        name = name.removesuffix(GROUPS)  # a task without groups
    if name not in of_task:
        return np.full(len(N_LABELS), np.nan)
    return np.mean(of_task[name]["accuracy"], 0)


def tables(results):
    """Return the tables as Markdown."""
    known = {name for task in TASKS if task in results for name in results[task]}
    names = [n for _, heads in METHODS.values() for n in heads if n in known]
    done = [task for task in TASKS if task in results]
    accuracy = np.array(  # (tasks, names, numbers of labels)
        [[mean_accuracy(results[task], n) for n in names] for task in done]
    )
    rows = [
        [task, n_labels or "all", *map(cell, of_task[:, i])]
        for task, of_task in [
            *zip(done, accuracy, strict=True),
            ("**mean**", accuracy.mean(0)),
        ]
        for i, n_labels in enumerate(N_LABELS)
    ]
    text = table(["task", "labels a class", *names], rows)
    if "steps" in results:
        header = ["activity at every step, labelled recordings", *N_RECORDINGS]
        rows = [
            [name, *map(cell, np.mean(found["accuracy"], 0))]
            for name, found in results["steps"].items()
        ]
        text += "\n\n" + table(header, rows)
    seconds = [
        [
            task,
            *(
                f"{np.mean(results[task][n][SECONDS]):.0f}"
                if n in results[task]
                else "-"
                for n in names
            ),
        ]
        for task in done
    ]
    return text + "\n\n" + table(["seconds, fit and transform", *names], seconds)


def summary(results):
    """Return the means over the tasks, and the steps, as Markdown for the README."""
    by_task, *others = tables(results).split("\n\n")
    lines = [line.strip("| ").split(" | ") for line in by_task.splitlines()]
    header, _, *rows = lines
    kept = [i for i, name in enumerate(header) if i and not name.endswith("head")]
    means = [[row[i] for i in kept] for row in rows if row[0] == "**mean**"]
    return "\n\n".join([table([header[i] for i in kept], means), *others[:-1]])


def figure(results, path):
    """Draw the accuracies on activities over the number of labels."""
    import matplotlib.pyplot as plt

    ticks = [str(n_labels or "all") for n_labels in N_LABELS]
    _, ax = plt.subplots(figsize=(6, 3.6), layout="constrained")
    for name in ("CPC", "untrained", "MiniRocket", "raw"):
        if name in results["activities"]:
            means = np.mean(results["activities"][name]["accuracy"], 0)
            ax.plot(ticks, means, marker="o", label=name)
    ax.set(
        xlabel="labelled windows per activity",
        ylabel="accuracy on new people",
        title="Six activities, 30 people, 6 hours of motion sensors",
    )
    ax.legend(loc="lower right")
    plt.savefig(path, dpi=150)


def main():
    """Run the tasks named, all by default, and write the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("tasks", nargs="*", choices=[*TASKS, "steps", []])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--draws", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    results = saved("recordings")
    for task in options.tasks or [*TASKS, "steps"]:
        some = (options.seeds, options.draws)
        found = steps(*some) if task == "steps" else run(task, options.methods, *some)
        for rows in found:
            results.setdefault(task, {}).update(rows)
            save("recordings", results, tables(results), "aeon")
            short = RESULTS / "recordings_summary.md"
            short.write_text(summary(results) + "\n", "utf-8")
    if "activities" in results:
        figure(results, RESULTS / "recordings.png")
    print(tables(results))


if __name__ == "__main__":
    main()
