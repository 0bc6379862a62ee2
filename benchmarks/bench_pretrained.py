"""Few labels on speakers and languages never heard, without training.

    python benchmarks/bench_pretrained.py [data ...] [--methods pretrained ...]
    python benchmarks/bench_pretrained.py phones

Needs the extra `benchmark`, Debian's ``apt-get install flite``, and what
`real_recordings.py` downloads. Nobody whom the shipped model was trained on is heard
here, and nobody here was used to choose how it is trained:

- voices: which of eight voices speaks a telephone prompt of at most two seconds, in
  English, Spanish, French, Italian or Russian; nobody spoke that prompt in training.
  The model knows these languages, not the voices.
- initials, finals: of Mandarin syllables without a label, by two speakers. The model
  has not heard Chinese.
- words: which of 30 English words two voices of Flite say (kal16, slt), with labels of
  two others (awb, rms), trimmed, equally loud, with noise at 40 dB. The model has heard
  English, not these voices.

Labels are drawn from the training part, so many of each class, five times for each of
three seeds. Columns: means and deviations of log-mel spectra; MiniRocket of aeon on
log-mel spectra, with the classifier that its authors use; the untrained model;
"pretrained", the shipped one as it is, or its contexts alone; "adapted", the shipped
one after a `fit` to the training part without labels, with groups where its speakers
are known. All but MiniRocket have the classifier that the documentation recommends for
few labels. One thread.

"synthesizer" and "recordings" compare two sources with about 800 updates each. They
have columns if these have been run before, in the same folder, with 3 and 7 epochs:

    pretrain_speech.py --sources espeak --epochs 3 --out espeak.safetensors
    pretrain_speech.py --sources russian --epochs 7 --out russian.safetensors

``phones`` is the task of `bench_speech.py`: phones of single frames of Flite's speech,
with the shipped model, which was not trained on any of its voices. The probes have 60
training utterances of each speaker instead of 200. Results are merged
into benchmarks/results/pretrained.json, from which the table is written.
"""

import argparse
import tempfile
import time
import warnings
from pathlib import Path

import bench_recordings
import numpy as np
import real_recordings
import torch
from bench_speech import evaluate
from few_labels import accuracies, cell, few_label_head, ridge
from labelled_speech import synthetic
from many_voices import trimmed
from measuring import save, saved, table

from sklearn_cpc import CPCTransformer

N_LABELS = (1, 5, 10)
N_DRAWS = 5
SOURCES = {"synthesizer": "espeak", "recordings": "russian"}  # files in this folder
FIXED = ("log-mel", "pretrained", "pretrained, contexts", *SOURCES)
LONGEST = 2.0  # seconds of a prompt
VOICES = {"awb": False, "kal16": True, "rms": False, "slt": True}  # for testing
WORDS = """
water river morning window table yellow purple orange people doctor sister never
quickly under between follow measure question music village forest winter thunder
kitchen chicken tiger danger voyage seven twenty
""".split()  # noqa: SIM905
SIGNAL_TO_NOISE = 40  # decibels
UTTERANCES = (60, 20)  # of each speaker of Flite, to train the probes and to test
N_EACH = 8  # times that each voice says each word


# ---- recordings: for training, with labels of each task (-1 for none) and groups, and
# for testing, with labels of each task


def voices():
    """Return telephone prompts of eight voices."""
    X, y, names = real_recordings.voices()
    short = np.array([len(x) <= LONGEST * real_recordings.RATE for x in X])
    test = bench_recordings.third(names)
    X = np.array(X, dtype=object)
    train, test = short & ~test, short & test
    return (
        list(X[train]),
        {"voices": y[train]},
        None,
        list(X[test]),
        {"voices": y[test]},
    )


def syllables():
    """Return Mandarin syllables of two speakers."""
    X, speaker, names, *parts = real_recordings.syllables()
    X, test = np.array(X, dtype=object), bench_recordings.third(names)
    labels = {}
    for task, part in zip(("initials", "finals"), parts, strict=True):
        _, number, count = np.unique(part, return_inverse=True, return_counts=True)
        labels[task] = np.where((count[number] >= 40) & (part != ""), number, -1)
    return (
        list(X[~test]),
        {task: y[~test] for task, y in labels.items()},
        speaker[~test],
        list(X[test]),
        {task: y[test] for task, y in labels.items()},
    )


def words():
    """Return words of two voices of Flite, and of two others to test on."""
    from flite_speech import say

    path = real_recordings.FOLDER / "flite-words.npz"
    if not path.exists():
        rng = np.random.default_rng(0)
        said, voices, labels = [], [], []
        with tempfile.TemporaryDirectory() as folder:
            for voice in VOICES:
                for label, word in enumerate(WORDS):
                    for _ in range(N_EACH):
                        pitch, duration = rng.uniform(0.85, 1.2, 2).round(2)
                        said.append(say(word, voice, pitch, duration, folder)[0])
                        voices.append(voice)
                        labels.append(label)
        np.savez(
            path,
            waveform=np.concatenate(said),
            lengths=[len(w) for w in said],
            voices=voices,
            labels=labels,
        )
    with np.load(path) as file:
        pieces = np.split(file["waveform"], np.cumsum(file["lengths"])[:-1])
        voices, labels = file["voices"], file["labels"]
    X = np.empty(len(pieces), dtype=object)
    rng = np.random.default_rng(0)
    X[:] = [recorded(piece, rng) for piece in pieces]
    test = np.array([VOICES[voice] for voice in voices])
    y, y_test = {"words": labels[~test]}, {"words": labels[test]}
    return list(X[~test]), y, voices[~test], list(X[test]), y_test


def recorded(said, rng):
    """Return what a synthesizer says without silence, as loud as prompts, with noise.

    The silence of some voices is made of zeros, which no recording has.
    """
    said = trimmed(said / 2**15)
    said = said * real_recordings.LOUDNESS / np.sqrt(np.square(said).mean())
    noise = real_recordings.LOUDNESS * 10 ** (-SIGNAL_TO_NOISE / 20)
    return np.float32(said + noise * rng.standard_normal(len(said)))


DATA = {"voices": voices, "syllables": syllables, "words": words}
TASKS = ("voices", "initials", "finals", "words")


# ---- representations: (training recordings, groups, seed) -> transform


def log_mel(X, groups, seed):
    """Means and deviations of log-mel spectra."""
    return bench_recordings.raw("voices", X, groups, seed)


def mini_rocket(X, groups, seed):
    """MiniRocket on log-mel spectra."""
    return bench_recordings.of_aeon("MiniRocket")("voices", X, groups, seed)


def pretrained(start, **options):
    """Return the representation of a model as it is."""
    return lambda X, groups, seed: (
        CPCTransformer.from_pretrained(start, **options).transform
    )


def trained(**options):
    """Return the representation of a model that a fit has made."""

    def make(X, groups, seed):
        return (
            CPCTransformer(random_state=seed, **options).fit(X, groups=groups).transform
        )

    return make


METHODS = {
    "log-mel": (log_mel, few_label_head),
    "MiniRocket": (mini_rocket, ridge),
    "untrained": (trained(encoder="log_mel", max_epochs=0), few_label_head),
    "pretrained": (pretrained("speech"), few_label_head),
    "pretrained, contexts": (
        pretrained("speech", features="context"),
        few_label_head,
    ),
    "adapted": (trained(start="speech"), few_label_head),
    **{
        name: (pretrained(f"{source}.safetensors"), few_label_head)
        for name, source in SOURCES.items()
        if Path(f"{source}.safetensors").exists()
    },
}


# ---- running


def run(data, methods, seeds):
    """Yield accuracies and seconds of methods on each task, with more each time."""
    X, y, groups, X_test, y_test = DATA[data]()
    results = {}
    for name in methods:
        make, head = METHODS[name]
        for seed in range(seeds):
            draws = range(seed * N_DRAWS, (seed + 1) * N_DRAWS)
            if seed == 0 or name not in FIXED:  # nothing is random
                begin = time.perf_counter()
                transform = make(X, groups, seed)
                Z, Z_test = transform(X), transform(X_test)
                seconds = round(time.perf_counter() - begin, 1)
            for task in y:
                known = y_test[task] >= 0
                test = Z_test[known], y_test[task][known]
                train = Z, y[task]
                row = accuracies(head, seed, train, test, N_LABELS, draws)
                of_task = results.setdefault(task, {})
                found = of_task.setdefault(name, {"accuracy": [], "seconds": []})
                found["accuracy"].append(row)
                found["seconds"].append(seconds)
                print(f"{task:9s} {seed} {name:10s} {seconds:6.0f} s {row}", flush=True)
            yield results


def phones():
    """Return the accuracies of `bench_speech` with the shipped model, and without."""
    speech = synthetic(*UTTERANCES)
    some = [np.float32(w) / 2**15 for w in speech.of(speech.train)]
    options = {"features": "both", "max_epochs": 0}
    models = {
        "untrained": CPCTransformer(encoder="log_mel", random_state=0, **options),
        "pretrained": CPCTransformer(start="speech", **options),
    }
    found = {}
    for name, model in models.items():
        model.fit(some)

        def extract(waveforms, model=model):
            return model.transform_steps([np.float32(w) / 2**15 for w in waveforms])

        scores = evaluate(extract, speech).items()
        found[name] = {task: round(float(score), 4) for task, score in scores}
        print("phones", name, found[name], flush=True)
    return found


def tables(results):
    """Return the tables as Markdown."""
    done = [task for task in TASKS if task in results]
    known = dict.fromkeys([*METHODS, *SOURCES])  # without repetition
    names = [n for n in known if any(n in results[task] for task in done)]
    accuracy = np.array(  # (tasks, names, numbers of labels)
        [
            [
                np.mean(results[task][n]["accuracy"], 0)
                if n in results[task]
                else np.full(len(N_LABELS), np.nan)
                for n in names
            ]
            for task in done
        ]
    )
    rows = [
        [task, n_labels, *map(cell, of_task[:, i])]
        for task, of_task in [
            *zip(done, accuracy, strict=True),
            ("**mean**", accuracy.mean(0)),
        ]
        for i, n_labels in enumerate(N_LABELS)
    ]
    text = table(["task", "labels a class", *names], rows)
    if "phones" in results:
        found = results["phones"]
        columns = list(next(iter(found.values())))
        rows = [[n, *(cell(scores[c]) for c in columns)] for n, scores in found.items()]
        text += "\n\n" + table(["single frames and utterances, Flite", *columns], rows)
    return text


def main():
    """Run the tasks named, all by default, and write the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("data", nargs="*", choices=[*DATA, "phones", []])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    results = saved("pretrained")
    for data in options.data or [*DATA, "phones"]:
        if data == "phones":
            found = iter([{"phones": phones()}])
        else:
            found = run(data, options.methods, options.seeds)
        for more in found:
            for task, rows in more.items():
                results.setdefault(task, {}).update(rows)
            save("pretrained", results, tables(results), "aeon")
    print(tables(results))


if __name__ == "__main__":
    main()
