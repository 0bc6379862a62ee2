"""Speech of the synthesizer eSpeak NG: several voices, and the phone of every moment.

Needs the extra `benchmark`, whose espeakng-loader brings the synthesizer (GPL) along.
"""

import ctypes
import functools

import espeakng_loader
import numpy as np
import torch
from scipy.signal import resample_poly

from sklearn_cpc.nn import LogMel

VOICES = ("m1", "m2", "m3", "m4", "f1", "f2", "f3", "f4")
TEXT = """
water river morning evening garden window table paper yellow purple green black
white orange silver people children teacher doctor farmer sailor brother sister
mother father always never often quickly slowly under over between behind after
before during against follow carry bring throw catch measure listen wonder answer
question picture music village mountain valley ocean island forest winter summer
autumn spring thunder lightning shadow bridge engine kitchen butter cheese sugar
apple lemon pepper chicken horse donkey rabbit tiger spider pigeon vision treasure
judge change danger voyage boy noise choice house cloud shout fire hour square chair
near clear poor tour thing young strong feather weather zero lazy busy visit
"""
WORDS = TEXT.split()
SILENCE = "_"

# From speak_lib.h: retrieve the audio; with phoneme events; UTF-8; types of events;
# parameters, and their values by default.
_RETRIEVAL, _PHONEME_EVENTS, _UTF8 = 1, 1, 1
_END, _PHONEME = 0, 7
_PARAMETERS = {"rate": (1, 175), "pitch": (3, 50), "range": (4, 50)}


class _Id(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Id),
    )


_CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int,
    ctypes.POINTER(ctypes.c_short),
    ctypes.c_int,
    ctypes.POINTER(_Event),
)


@functools.cache  # the library has one state: a second one would hang
class Synthesizer:
    """eSpeak NG, which gives the waveform and where its phones begin."""

    def __init__(self):
        self.library = ctypes.CDLL(espeakng_loader.get_library_path())
        path = str(espeakng_loader.get_data_path()).encode()
        self.rate = self.library.espeak_Initialize(_RETRIEVAL, 0, path, _PHONEME_EVENTS)
        self.callback = _CALLBACK(self._receive)  # must outlive the calls
        self.library.espeak_SetSynthCallback(self.callback)

    def _receive(self, samples, n_samples, events):
        if samples and n_samples:
            part = np.ctypeslib.as_array(samples, (n_samples,))
            self.parts.append(part.astype(np.float32))
        for event in events:
            if event.type == _END:
                break
            if event.type == _PHONEME:
                name = event.id.string.decode().strip("',%=")
                self.phones.append((event.sample / self.rate, name or SILENCE))
        return 0  # go on

    def say(self, text, voice, language="en-us", **settings):
        """Return a waveform, 16 kHz, and the (second, name) of its phones.

        Settings are ``rate``, in words a minute, and ``pitch`` and its ``range``, from
        0 to 99.
        """
        self.parts, self.phones = [], []
        name = f"{language}+{voice}".encode()
        if self.library.espeak_SetVoiceByName(name):
            raise ValueError(f"eSpeak NG has no voice {name.decode()!r}.")
        for parameter, (number, default) in _PARAMETERS.items():
            value = int(settings.get(parameter, default))
            self.library.espeak_SetParameter(number, value, 0)
        data = text.encode()
        self.library.espeak_Synth(data, len(data) + 1, 0, 1, 0, _UTF8, None, None)
        self.library.espeak_Synchronize()
        if not self.parts:  # a text without a sound
            return np.zeros(0, np.float32), []
        waveform = resample_poly(np.concatenate(self.parts), 320, 441)
        return waveform / np.abs(waveform).max(), self.phones


def utterances(n_each, n_words=8, seed=0):
    """Let every voice say some random words.

    Returns
    -------
    waveforms : list of ndarray (n_samples,)
    voices : ndarray of int (n,)
    phones : list of list of (second, name)
    """
    rng = np.random.default_rng(seed)
    synthesizer = Synthesizer()
    said = [
        (number, synthesizer.say(" ".join(rng.choice(WORDS, n_words)), voice))
        for number, voice in enumerate(VOICES)
        for _ in range(n_each)
    ]
    voices = np.array([number for number, _ in said])
    return [w for _, (w, _) in said], voices, [p for _, (_, p) in said]


def phone_at(phones, seconds):
    """Return the name of the phone at each of some moments."""
    begins, names = zip(*phones, strict=True)
    index = np.searchsorted(begins, seconds, side="right") - 1
    return np.where(index < 0, SILENCE, np.array(names)[np.maximum(index, 0)])


def log_mel(waveform):
    """Return log-mel spectra, (n_frames, 40), of 100 frames a second."""
    x = torch.from_numpy(waveform.astype(np.float32))[None, :, None]
    return LogMel()(x)[0].numpy()
