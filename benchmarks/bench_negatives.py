"""The five strategies for negatives on speech: the paper's Table 2, in small.

    python benchmarks/bench_negatives.py [--seeds N]

Needs the extra `benchmark`. Two kinds of speech:

- eSpeak NG's: 8 voices, each says 30 utterances to train on and 20 others to test on,
  about 3 s each, raw waveforms at 16 kHz. The encoder is the paper's with 64 channels.
  Linear probes tell the phone of a frame (10 ms; from `transform_steps`, 20 000 frames
  to train on, 10 000 to test on) and the voice of an utterance (from `transform`).
- the bundled Japanese vowels with the defaults. They are one diphthong, so the probe of
  a step tells its third of the utterance; the probe of an utterance tells its speaker.

The speakers are the groups. One thread. Writes JSON and a Markdown table.
"""

import argparse
import json
import platform
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from synthetic_speech import RATE, phone_at, utterances

from sklearn_cpc import CPCTransformer
from sklearn_cpc.datasets import load_japanese_vowels

RESULTS = Path(__file__).parent / "results" / "negatives"
# The paper's names, in the order of its Table 2.
STRATEGIES = {
    "batch": "mixed speaker",
    "same_group": "same speaker",
    "other_sequences": "mixed speaker, without current sequence",
    "same_group_other_sequences": "same speaker, without current sequence",
    "same_sequence": "current sequence only",
}
CPC_ON_WAVEFORMS = {
    "encoder": "audio",
    "latent_size": 64,
    "context_size": 64,
    "prediction_steps": 12,
    "skip_steps": 0,
    "batch_size": 8,
    "max_epochs": 3,
    "features": "context",
}


def probe(train, train_labels, test, test_labels):
    """Return the test accuracy of a linear classifier."""
    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))
    return classifier.fit(train, train_labels).score(test, test_labels)


def frames(cpc, X, labels_of, n_frames, seed):
    """Return features and labels of frames drawn from all sequences."""
    features = cpc.transform_steps(X)
    labels = [labels_of(i, len(h)) for i, h in enumerate(features)]
    features, labels = np.concatenate(features), np.concatenate(labels)
    n_frames = min(n_frames, len(labels))
    chosen = np.random.default_rng(seed).choice(len(labels), n_frames, replace=False)
    return features[chosen], labels[chosen]


def evaluate(cpc, train, test):
    """Return the accuracies of frames and of whole sequences.

    Each part is (sequences, their speakers, function of row and number of frames
    that gives the labels of these).
    """
    (X, speakers, labels_of), (X_test, test_speakers, test_labels_of) = train, test
    cpc.fit(X, groups=speakers)
    return {
        "frames": probe(
            *frames(cpc, X, labels_of, 20_000, seed=0),
            *frames(cpc, X_test, test_labels_of, 10_000, seed=1),
        ),
        "sequences": probe(
            cpc.transform(X), speakers, cpc.transform(X_test), test_speakers
        ),
    }


def synthetic(n_each, seed):
    """Return utterances of eSpeak NG, their voices and their phones."""
    X, voices, phones = utterances(n_each, seed=seed)

    def labels_of(row, n):  # a latent has seen the samples up to its first one
        return phone_at(phones[row], np.arange(n) * 160 / RATE)

    return X, voices, labels_of


def vowels(split):
    """Return the bundled utterances, their speakers and the thirds of each."""
    X, speakers = load_japanese_vowels(split=split, return_X_y=True)
    return X, speakers, lambda row, n: np.arange(n) * 3 // n


def main():
    """Run everything and write the results."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=3)
    seeds = range(parser.parse_args().seeds)
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", module="sklearn")  # few iterations are enough
    speech = {
        "synthetic": (synthetic(30, 0), synthetic(20, 1), CPC_ON_WAVEFORMS),
        "vowels": (vowels("train"), vowels("test"), {}),
    }
    untrained = [("untrained", {"max_epochs": 0})]
    trained = [(name, {"negatives": name}) for name in STRATEGIES]
    results = {}
    for kind, (train, test, options) in speech.items():
        for name, changes in untrained + trained:
            for seed in seeds:
                cpc = CPCTransformer(random_state=seed, **(options | changes))
                row = evaluate(cpc, train, test)
                results.setdefault(name, {}).setdefault(kind, []).append(row)
                print(f"{kind:10s} {name:27s} {seed} {row}", flush=True)
    write(results)


def write(results):
    """Write the results as JSON and as a Markdown table."""
    lines = [
        "| negatives | in the paper | phones of frames, synthetic | voices, synthetic "
        "| thirds, vowels | speakers, vowels |",
        "|---|---|---|---|---|---|",
    ]
    for name, by_kind in results.items():
        cells = [
            f"{np.mean(values):.3f} ± {np.std(values):.3f}"
            for kind in ("synthetic", "vowels")
            for what in ("frames", "sequences")
            for values in [[row[what] for row in by_kind[kind]]]
        ]
        label = f'`"{name}"`' if name in STRATEGIES else name
        row = [label, STRATEGIES.get(name, ""), *cells]
        lines.append(f"| {' | '.join(row)} |")
    table = "\n".join(lines)
    print(table)
    packages = ("scikit-learn", "torch", "numpy", "espeakng-loader")
    machine = {
        "machine": f"{platform.machine()}, 1 thread",
        "python": platform.python_version(),
        **{package: version(package) for package in packages},
    }
    RESULTS.with_suffix(".md").write_text(table + "\n", encoding="utf-8")
    RESULTS.with_suffix(".json").write_text(
        json.dumps({**machine, "results": results}, indent=1) + "\n", encoding="utf-8"
    )


if __name__ == "__main__":
    main()
