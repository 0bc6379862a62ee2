"""The five strategies for negatives on speech: the paper's Table 2, in small.

    python benchmarks/bench_negatives.py [--seeds N]

Needs the extra `benchmark`. Two kinds of speech, whose groups are the speakers:

- eSpeak NG's: 8 voices, each says 30 utterances to train on and 20 others to test on,
  about 3 s each, as log-mel spectra, 100 a second. Two convolutions of 4 steps give one
  latent for each spectrum; windows of 1.28 s and 12 steps ahead, as in the paper.
  Linear discriminant analysis tells the phone and the voice of single frames, 8 000
  to train on and 5 000 of the test utterances.
- the bundled Japanese vowels with the defaults. They are one diphthong, so a frame's
  probe tells its third of the utterance, and the speaker is told from the pooled
  features of the utterance.

Contexts alone, or all that the estimator gives ("both" latents and contexts of the
spectra, "all" layers of the vowels). One thread. Writes JSON and a Markdown table.
"""

import argparse
import functools
import json
import warnings
from pathlib import Path

import numpy as np
import torch
from labelled_speech import STRATEGIES
from measuring import machine
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from synthetic_speech import log_mel, phone_at, utterances

from sklearn_cpc import CPCTransformer
from sklearn_cpc.datasets import load_japanese_vowels
from sklearn_cpc.nn import CausalConv, ConvStack
from sklearn_cpc.nn.encoders.spectra import HOP, N_MELS, RATE

RESULTS = Path(__file__).parent / "results" / "negatives"
ON_SPECTRA = {
    "crop_length": 128,
    "prediction_steps": 12,
    "skip_steps": 0,
    "max_epochs": 20,
    "features": "both",
}


def probe(train, test):
    """Return the test accuracy of a linear classifier; each part is (X, y)."""
    return (
        make_pipeline(StandardScaler(), LinearDiscriminantAnalysis())
        .fit(*train)
        .score(*test)
    )


def frames(features, labels_of, n_frames, seed):
    """Return features and labels of frames drawn from all sequences."""
    labels = [labels_of(i, len(h)) for i, h in enumerate(features)]
    features, labels = np.concatenate(features), np.concatenate(labels)
    n_frames = min(n_frames, len(labels))
    chosen = np.random.default_rng(seed).choice(len(labels), n_frames, replace=False)
    return features[chosen], labels[chosen]


def speech_of(n_each, seed):
    """Return spectra of eSpeak NG, their voices, and functions that label frames."""
    X, voices, phones = utterances(n_each, seed=seed)
    moments = np.arange(1000) * HOP / RATE
    return (
        [log_mel(x) for x in X],
        voices,
        lambda row, n: phone_at(phones[row], moments[:n]),
    )


@functools.cache
def speech():
    """Return the utterances to train on and those to test on."""
    return speech_of(30, 0), speech_of(20, 1)


def spectra(seed, **options):
    """Return accuracies on synthetic speech."""
    (X, voices, phones), (X_test, test_voices, test_phones) = speech()
    torch.manual_seed(seed)
    encoder = ConvStack([CausalConv(N_MELS, 128, [4]), CausalConv(128, 128, [4])])
    cpc = CPCTransformer(encoder=encoder, random_state=seed, **(ON_SPECTRA | options))
    cpc.fit(X, groups=voices)
    train, test = cpc.transform_steps(X), cpc.transform_steps(X_test)
    contexts = slice(cpc.latent_size, None)

    def accuracy(columns, labels, test_labels):
        return probe(
            frames([h[:, columns] for h in train], labels, 8_000, seed=0),
            frames([h[:, columns] for h in test], test_labels, 5_000, seed=1),
        )

    def voice_of(voices):
        return lambda row, n: np.full(n, voices[row])

    return {
        "phones, contexts": accuracy(contexts, phones, test_phones),
        "phones, both": accuracy(slice(None), phones, test_phones),
        "voices, contexts": accuracy(contexts, voice_of(voices), voice_of(test_voices)),
    }


def vowels(seed, **options):
    """Return accuracies on the bundled utterances."""
    X, speakers = load_japanese_vowels(return_X_y=True)
    X_test, test_speakers = load_japanese_vowels(split="test", return_X_y=True)
    cpc = CPCTransformer(random_state=seed, **options).fit(X, groups=speakers)

    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))

    def third(row, n):
        return np.arange(n) * 3 // n

    return {
        "thirds, all": probe(
            frames(cpc.transform_steps(X), third, 8_000, seed=0),
            frames(cpc.transform_steps(X_test), third, 5_000, seed=1),
        ),
        "speakers, all": classifier.fit(cpc.transform(X), speakers).score(
            cpc.transform(X_test), test_speakers
        ),
    }


def main():
    """Run everything and write the results."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=3)
    seeds = range(parser.parse_args().seeds)
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", module="sklearn")  # frames are collinear
    untrained = [("untrained", {"max_epochs": 0})]
    trained = [(name, {"negatives": name}) for name in STRATEGIES]
    results = {}
    for seed in seeds:
        for name, options in untrained + trained:
            row = spectra(seed, **options) | vowels(seed, **options)
            results.setdefault(name, []).append(row)
            print(f"{name:27s} {seed} {row}", flush=True)
    write(results)


def write(results):
    """Write the results as JSON and as a Markdown table."""
    probes = list(results["untrained"][0])
    lines = [
        f"| negatives | in the paper | {' | '.join(probes)} |",
        "|---" * (2 + len(probes)) + "|",
    ]
    for name, rows in results.items():
        cells = [
            f"{np.mean(values):.3f} ± {np.std(values):.3f}"
            for what in probes
            for values in [[row[what] for row in rows]]
        ]
        label = f'`"{name}"`' if name in STRATEGIES else name
        row = [label, STRATEGIES.get(name, ""), *cells]
        lines.append(f"| {' | '.join(row)} |")
    table = "\n".join(lines)
    print(table)
    RESULTS.with_suffix(".md").write_text(table + "\n", encoding="utf-8")
    RESULTS.with_suffix(".json").write_text(
        json.dumps({**machine("espeakng-loader"), "results": results}, indent=1) + "\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
