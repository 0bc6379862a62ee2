"""Phones and speakers by linear probes: the paper's Tables 1 and 2.

    python benchmarks/bench_speech.py [--seeds N] [--tables 1 2] [--encoders ...]

Needs Debian's ``flite`` (``apt-get install flite``). Twelve synthetic speakers (four
voices, three settings of pitch and rate) say 200 different sentences each to train on
and 40 others to test on, 2.8 hours; see `flite_speech`. It takes a few minutes to make
them, once. The phones are exact, and of 41 kinds.

- Phones are told frame by frame, 100 a second: 8 of each training utterance, 20 of each
  test utterance. The label is that of the middle of the 25 ms that end with the frame.
- Speakers are told from the mean and the deviation of an utterance's frames, from the
  mean alone, and from the frames of the first task.

Both by StandardScaler and LogisticRegression(C=0.1). The features of CPC, and of the
same network untrained, are contexts and latents together; log-mel spectra are those of
``LogMel``, MFCCs are 13 with first and second differences (which look 40 ms ahead).
"Supervised" is the same network with a linear layer for phones on every frame and one
for speakers on the mean, trained on the labels of all training frames with as many
updates as CPC. One thread, seconds of its CPU time. Results are merged into JSON and
Markdown tables in benchmarks/results.

With ``--librispeech FOLDER``, real recordings with the labels of the paper's authors:
see `labelled_speech`. The paper trained on them for 300,000 updates.
"""

import argparse
import copy
import json
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from labelled_speech import STRATEGIES, librispeech, synthetic
from measuring import machine
from scipy.fft import dct
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.nn import functional as F

from sklearn_cpc import CPCTransformer
from sklearn_cpc.nn import LogMel
from sklearn_cpc.nn.encoders.spectra import HOP

RESULTS = Path(__file__).parent / "results" / "speech"
TRAIN_FRAMES, TEST_FRAMES = 8, 20  # of each utterance
LOUDNESS = 2_000  # of speech, about, as 16-bit numbers
CROP, BATCH = 20_480, 32
ON_SPEECH = {
    "latent_size": 128,
    "context_size": 128,
    "prediction_steps": 12,
    "skip_steps": 0,
    "features": "both",
}
LEARNING_RATES = {"log_mel": 3e-3, "audio": 1e-3}
STEPS = (2, 4, 8, 12, 16)
FARTHER = 6  # skipped: what is near tells phones, what is far the speaker


# ---- features


def log_mel(waveforms):
    """Return log-mel spectra of int16 waveforms."""
    with torch.inference_mode():
        return [
            LogMel()(torch.from_numpy(np.float32(w / LOUDNESS))[None, :, None])[
                0
            ].numpy()
            for w in waveforms
        ]


def mfcc(waveforms):
    """Return 13 cepstral coefficients with first and second differences."""

    def slopes(h):  # by regression over five frames
        h = np.pad(h, [(2, 2), (0, 0)], mode="edge")
        return (2 * (h[4:] - h[:-4]) + (h[3:-1] - h[1:-3])) / 10

    features = []
    for spectra in log_mel(waveforms):
        cepstra = dct(spectra, norm="ortho", axis=1)[:, :13]
        features.append(np.hstack([cepstra, slopes(cepstra), slopes(slopes(cepstra))]))
    return features


def describe(extract, speech, rows, n_frames):
    """Return frames with phone and speaker, and utterances with their speaker."""
    rng = np.random.default_rng(0)  # the same frames for all features
    frames, phones, origins, pooled = [], [], [], []
    for part in np.array_split(rows, -(-len(rows) // 100)):  # memory
        for row, h in zip(part, extract(speech.of(part)), strict=True):
            chosen = rng.choice(len(h), min(n_frames, len(h)), replace=False)
            frames.append(h[chosen])
            phones.append(speech.phones(row)[chosen])
            origins.append(np.full(len(chosen), speech.speakers[row]))
            pooled.append(np.concatenate([h.mean(0), h.std(0)]))
    frames, pooled = np.concatenate(frames), np.array(pooled)
    return {
        "phones": (frames, np.concatenate(phones)),
        "speakers": (pooled, speech.speakers[rows]),
        "speakers by means": (np.hsplit(pooled, 2)[0], speech.speakers[rows]),
        "speakers of frames": (frames, np.concatenate(origins)),
    }


def probe(train, test):
    """Return the test accuracy of a linear classifier; each part is (X, y)."""
    classifier = LogisticRegression(C=0.1, max_iter=200)
    return make_pipeline(StandardScaler(), classifier).fit(*train).score(*test)


def evaluate(extract, speech):
    """Return the accuracies of all probes."""
    train = describe(extract, speech, speech.train, TRAIN_FRAMES)
    test = describe(extract, speech, speech.test, TEST_FRAMES)
    return {task: probe(train[task], test[task]) for task in train}


# ---- models


def cpc(encoder, speech, n_updates, seed, **options):
    """Return a CPC model, trained on the training recordings."""
    windows = sum(max(1, len(w) // CROP) for w in speech.of(speech.train))
    n_epochs = -(-n_updates // -(-windows // BATCH))
    model = CPCTransformer(
        encoder=encoder,
        lr=LEARNING_RATES[encoder],
        max_epochs=n_epochs,
        random_state=seed,
        **{**ON_SPEECH, **options},
    )
    return model.fit(speech.of(speech.train), groups=speech.speakers[speech.train])


class Supervised(nn.Module):
    """The network of a CPC model, with layers that tell phones and speakers."""

    def __init__(self, model, n_phones, n_speakers):
        super().__init__()
        self.network = copy.deepcopy(model.net_.module_)
        n_features = model.latent_size + model.context_size
        self.to_phone = nn.Linear(n_features, n_phones)
        self.to_speaker = nn.Linear(n_features, n_speakers)

    def forward(self, x, real):
        """Return scores of phones, (B, T', n), and of speakers, (B, n)."""
        ((z, c, _, _),) = self.network(x[..., None])
        h = torch.cat([z, c], dim=-1)
        weights = (real / real.sum(1, keepdim=True))[..., None]
        return self.to_phone(h), self.to_speaker((h * weights).sum(1))


def supervised(untrained, speech, n_updates, seed):
    """Train the same network on the labels and return its test accuracies."""
    phones = {row: speech.phones(row) for row in np.append(speech.train, speech.test)}
    names = np.unique(np.concatenate(list(phones.values())))
    phones = {row: np.searchsorted(names, own) for row, own in phones.items()}

    def batch(rows, starts, size):
        """Return the windows; phones beyond the end of a recording are -1."""
        x = np.zeros((len(rows), size), np.float32)
        y = np.full((len(rows), -(-size // HOP)), -1)
        for i, (row, start) in enumerate(zip(rows, starts, strict=True)):
            window = speech.waveforms[row][start : start + size]
            x[i, : len(window)] = window / LOUDNESS
            own = phones[row][start // HOP :][: y.shape[1]]
            y[i, : len(own)] = own
        return torch.from_numpy(x), torch.from_numpy(y)

    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = Supervised(untrained, len(names), speech.speakers.max() + 1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=untrained.lr)
    for _ in range(n_updates):
        rows = rng.choice(speech.train, BATCH, replace=False)
        spare = [max(0, len(w) - CROP) // HOP for w in speech.of(rows)]
        x, y = batch(rows, HOP * rng.integers(np.add(spare, 1)), CROP)
        phone, speaker = model(x, y >= 0)
        speakers = torch.from_numpy(speech.speakers[rows])
        loss = F.cross_entropy(phone.flatten(0, 1), y.flatten(), ignore_index=-1)
        loss = loss + F.cross_entropy(speaker, speakers)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    right = {"phones": [], "speakers": []}
    with torch.inference_mode():
        for row in speech.test:
            x, y = batch([row], [0], len(speech.waveforms[row]))
            phone, speaker = model(x, y >= 0)
            right["phones"] += (phone.argmax(-1) == y)[0].tolist()
            right["speakers"].append(int(speaker.argmax()) == speech.speakers[row])
    return {name: float(np.mean(values)) for name, values in right.items()}


# ---- tables


def results_of(arguments, speech, seed):
    """Yield (table, row, accuracies) one after the other."""

    def trained(encoder, n_updates, **options):
        begin = time.process_time()
        model = cpc(encoder, speech, n_updates, seed, **options)
        seconds = time.process_time() - begin
        return evaluate(model.transform_steps, speech) | {"fit, seconds": seconds}

    if 1 in arguments.tables:
        yield 1, "MFCC", evaluate(mfcc, speech)
        yield 1, "log-mel", evaluate(log_mel, speech)
        n_updates = {"log_mel": arguments.updates, "audio": arguments.on_waveform}
        for encoder in arguments.encoders:
            of = {"log_mel": "log-mel", "audio": "waveform"}[encoder]
            untrained = cpc(encoder, speech, 0, seed)
            yield 1, f"{of}, untrained", evaluate(untrained.transform_steps, speech)
            yield 1, f"{of}, CPC", trained(encoder, n_updates[encoder])
            if encoder == "log_mel":
                last = FARTHER + ON_SPEECH["prediction_steps"]
                yield (
                    1,
                    f"{of}, CPC, {FARTHER + 1} to {last} steps ahead",
                    trained(encoder, n_updates[encoder], skip_steps=FARTHER),
                )
            yield (
                1,
                f"{of}, supervised",
                supervised(untrained, speech, n_updates[encoder], seed),
            )
    if 2 in arguments.tables:
        for n_steps in STEPS:
            options = {"prediction_steps": n_steps}
            row = trained("log_mel", arguments.in_table_2, **options)
            yield 2, f"{n_steps} steps", row
            if n_steps == ON_SPEECH["prediction_steps"]:
                yield 2, "batch", row
        for name in list(STRATEGIES)[1:]:
            yield 2, name, trained("log_mel", arguments.in_table_2, negatives=name)


def table(rows):
    """Return a Markdown table: mean and, with several seeds, deviation."""
    tasks = ["phones", "speakers", "speakers by means", "speakers of frames"]
    columns = [*tasks, "fit, seconds"]
    lines = [f"| features | {' | '.join(columns)} |", "|---" * 6 + "|"]
    for name, runs in rows.items():
        cells = []
        for column in columns:
            values = [run[column] for run in runs if column in run]
            digits = 0 if "seconds" in column else 3
            cell = f"{np.mean(values):.{digits}f}" if values else ""
            if digits and len(values) > 1:
                cell += f" ± {np.std(values):.{digits}f}"
            cells.append(cell)
        title = f'`"{name}"`, {STRATEGIES[name]}' if name in STRATEGIES else name
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def saved(name, number):
    """Return the rows of a table that have been measured before."""
    path = RESULTS.with_name(f"{name}_{number}.json")
    return json.loads(path.read_text("utf-8"))["results"] if path.exists() else {}


def write(name, arguments, results):
    """Write each table as JSON and as Markdown."""
    for number, rows in results.items():
        record = {
            **machine(),
            "arguments": {key: str(value) for key, value in vars(arguments).items()},
            "parameters": {**ON_SPEECH, "lr": LEARNING_RATES},
            "results": rows,
        }
        path = RESULTS.with_name(f"{name}_{number}.json")
        path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        path.with_suffix(".md").write_text(table(rows), encoding="utf-8")


def main():
    """Run everything and write the results after each row."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--tables", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--encoders", nargs="+", default=list(LEARNING_RATES))
    parser.add_argument("--utterances", type=int, nargs=2, default=[200, 40])
    parser.add_argument("--updates", type=int, default=1000)
    parser.add_argument("--on-waveform", type=int, default=300)
    parser.add_argument("--in-table-2", type=int, default=400)
    parser.add_argument("--librispeech", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # of probes that have not converged
    folder = arguments.librispeech
    if folder is None:
        speech, name = synthetic(*arguments.utterances), "speech"
    else:
        speech, name = librispeech(folder), "speech_librispeech"
    results = {number: saved(name, number) for number in arguments.tables}
    for seed in range(arguments.seeds):
        for number, row, values in results_of(arguments, speech, seed):
            rows = results[number]
            rows[row] = [*rows[row], values] if seed else [values]
            print(seed, row, values, flush=True)
            write(name, arguments, results)
    for number, rows in results.items():
        print(f"Table {number}", table(rows), sep="\n\n")


if __name__ == "__main__":
    main()
