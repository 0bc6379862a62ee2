"""Recordings whose speakers and phones are known, and which of them are for testing.

Synthetic ones (see `flite_speech`), or those of a folder in LibriSpeech's layout,
SPEAKER/CHAPTER/NAME.flac or .wav, such as `train-clean-100`. In it or beside it are
the labels of the paper's authors, `converted_aligned_phones.txt`: a line for each
utterance, its name and then a whole number, the phone, for every 10 ms. If there is
also their `test_split.txt`, a name on each line, it says what is for testing; else
every fifth utterance of a speaker is. To read .flac takes ``pip install soundfile``.
"""

import wave

import flite_speech
import numpy as np

from sklearn_cpc.nn.encoders.spectra import HOP, RATE, WINDOW

# The paper's names, in the order of its Table 2.
STRATEGIES = {
    "batch": "mixed speaker",
    "same_group": "same speaker",
    "other_sequences": "mixed speaker, without current sequence",
    "same_group_other_sequences": "same speaker, without current sequence",
    "same_sequence": "current sequence only",
}


class Speech:
    """Recordings of known speakers, of which some are for testing.

    Parameters
    ----------
    waveforms : list of ndarray (n_samples,)
    speakers : array-like (n,)
    phone_at : callable
        ``(row, seconds) -> phones`` at these moments of a recording.
    is_test : ndarray of bool (n,)
    """

    def __init__(self, waveforms, speakers, phone_at, is_test):
        self.waveforms, self.phone_at = waveforms, phone_at
        self.speakers = np.unique(speakers, return_inverse=True)[1]
        self.train, self.test = np.flatnonzero(~is_test), np.flatnonzero(is_test)

    def phones(self, row):
        """Return the phone of each frame."""
        frames = np.arange(-(-len(self.waveforms[row]) // HOP))
        return self.phone_at(row, np.maximum(frames * HOP - WINDOW / 2, 0) / RATE)

    def of(self, rows):
        """Return the waveforms of some recordings."""
        return [self.waveforms[row] for row in rows]


def synthetic(n_train, n_test):
    """Return Flite's speech, so many utterances of each speaker."""
    waveforms, speakers, phones = flite_speech.utterances(n_train + n_test)
    is_test = np.arange(len(waveforms)) >= n_train * len(flite_speech.SPEAKERS)
    return Speech(
        waveforms,
        speakers,
        lambda row, seconds: flite_speech.phone_at(phones[row], seconds),
        is_test,
    )


def librispeech(folder):
    """Return real recordings in LibriSpeech's layout."""
    beside = [folder, folder.parent]
    labels = first_file(beside, "converted_aligned_phones.txt")
    if labels is None:
        raise SystemExit(f"No converted_aligned_phones.txt in or beside {folder}.")
    lines = (line.split() for line in labels.read_text(encoding="utf-8").splitlines())
    phones = {name: np.array(values, int) for name, *values in lines}
    paths = sorted([*folder.rglob("*.flac"), *folder.rglob("*.wav")])
    paths = [path for path in paths if path.stem in phones]
    if not paths:
        raise SystemExit(f"No recording under {folder} has labels in {labels}.")
    speakers = np.array([path.parent.parent.name for path in paths])
    test = first_file(beside, "test_split.txt")
    if test is not None:
        names = set(test.read_text(encoding="utf-8").split())
        is_test = np.array([path.stem in names for path in paths])
    else:
        count = dict.fromkeys(speakers, 0)
        is_test = np.zeros(len(paths), bool)
        for i, name in enumerate(speakers):
            is_test[i] = count[name] % 5 == 4
            count[name] += 1

    def phone_at(row, seconds):
        of_row = phones[paths[row].stem]
        return of_row[np.minimum((seconds * 100).astype(int), len(of_row) - 1)]

    return Speech([read(path) for path in paths], speakers, phone_at, is_test)


def first_file(folders, name):
    """Return the first that is there, or None."""
    return next((f / name for f in folders if (f / name).exists()), None)


def read(path):
    """Return the waveform of a file of 16-bit samples, mono, 16 kHz."""
    if path.suffix == ".flac":
        import soundfile

        waveform, rate = soundfile.read(path, dtype="int16")
    else:
        with wave.open(str(path)) as file:
            rate = file.getframerate()
            waveform = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    if rate != RATE or waveform.ndim != 1:
        raise SystemExit(f"{path} is not mono, {RATE} Hz.")
    return waveform
