"""Speech of many voices and languages, from which anything may be learned.

Weights of a package under the BSD licence may come from these recordings. None of these
speakers is heard in `bench_pretrained.py`, and no Chinese language is among them.

| function | voices | from |
|---|---|---|
| `espeak` | eSpeak NG, 66 languages, many speakers | espeakng-loader (PyPI) |
| `mei` | Open JTalk, one Japanese speaker with several vocal tracts | open-jtalk (Debian), pyopenjtalk (PyPI, the voice "Mei", CC BY 3.0) |
| `kdl` | Festival, one American speaker, in several pitches | festival, festvox-kdlpc16k (Debian, BSD-like) |
| `russian` | recordings of one Russian speaker, in several speeds | festvox-ru (Debian, BSD-like) |

The synthesizers are programs under GPL (eSpeak NG) and BSD-like licences; what they say
is names of countries, languages, months and days, and numbers, of the Unicode CLDR as
Babel (PyPI, BSD; Unicode licence) holds it. The data are made once and kept in the
folder of `real_recordings`; the same seed gives the same samples.
"""  # noqa: E501 (a table)

import itertools
import multiprocessing
import re
import shutil
import subprocess
import tarfile
import tempfile
import wave
from pathlib import Path

import numpy as np
from real_recordings import FOLDER, RATE, from_debian, from_pypi
from scipy.signal import resample_poly

LANGUAGES = """
af am ar az be bg bn bs ca cs cy da de el en-gb-x-rp en-us es et eu fa fi fr ga gu he hi
hr hu hy id is it ka kk kn ko ky lb lt lv mk ml mr ms mt my nb ne nl or pa pl pt pt-br
ro ru sd si sk sl sq sr sv sw ta te tr tt ug uk ur uz vi
""".split()  # noqa: SIM905
VARIANTS = """
m1 m2 m3 m4 m5 m6 m7 m8 f1 f2 f3 f4 f5 adam Alex Alicia Andrea Andy Annie anika antonio
aunty belinda benjamin boris caleb croak david Denis Diogo ed edward edward2 Gene Gene2
grandma grandpa gustave Henrique Hugo ian iven iven2 iven3 iven4 Jacky john klatt klatt2
klatt3 klatt4 klatt5 klatt6 Lee linda marcelo Marco Mario max Michael michel miguel Mike
mike2 norbert pablo paul pedro quincy Reed RicishayMax rob robert sandro shelby steph
steph2 steph3 Storm travis victor whisper whisperf zac
""".split()  # noqa: SIM905
# Their breath is of random numbers that nothing can seed: they are left out.
UNSTEADY = {"f2", "f3", "f5", "Alicia", "sandro", "victor", "whisper", "whisperf"}
SPEEDS = (0.8, 0.88, 0.95, 1.05, 1.14, 1.25)  # of the recordings of one speaker
LONGEST = 40  # letters of a name
SECONDS = (0.25, 6.0)  # shorter utterances are left out, longer ones are cut
TELEPHONE = 0.25  # part of the voices that speak over a telephone, at 8 kHz
LOUDNESS = 0.05  # root mean square, half of a voice's decibels around it
GAIN = 12.0  # decibels that a voice may be louder or softer


class Texts:
    """Names and numbers in a language, for utterances of one to four of them."""

    def __init__(self, language):
        from babel import Locale, UnknownLocaleError

        try:
            locale = Locale.parse(language, sep="-")
        except (UnknownLocaleError, ValueError):
            locale = Locale.parse(language.split("-")[0])
        tables = [locale.territories, locale.languages, locale.scripts]
        tables += [locale.months["stand-alone"]["wide"]]
        tables += [locale.days["stand-alone"]["wide"]]
        names = {str(name) for table in tables for name in table.values()}
        plain = (n for n in names if not re.search(r"[0-9()_]", n))
        self.names = sorted(n for n in plain if 1 < len(n) <= LONGEST)

    def draw(self, rng):
        """Return a random utterance."""
        kind = rng.random()
        if kind < 0.2:
            return str(rng.integers(10 ** rng.integers(1, 5)))
        n_names = 1 if kind < 0.6 else 2 if kind < 0.8 else int(rng.integers(3, 5))
        return ", ".join(rng.choice(self.names, n_names))


# ---- sources: yield the name of a voice and its utterances, float


def espeak(n_voices, n_each, rng):
    """Yield voices of eSpeak NG: a language, a variant, a pitch, a rate.

    Each speaks in a process of its own: the library crashes at some texts. Such a voice
    is left out.
    """
    import synthetic_speech  # noqa: F401 (here, so that no child has to)

    texts = {language: Texts(language) for language in LANGUAGES}
    for number in range(n_voices):
        language = LANGUAGES[number % len(LANGUAGES)]
        voice = VARIANTS[rng.integers(len(VARIANTS))], language
        settings = {
            "rate": int(rng.integers(110, 230)),
            "pitch": int(rng.integers(10, 90)),
            "range": int(rng.integers(20, 80)),
        }
        lines = [texts[language].draw(rng) for _ in range(n_each)]
        if voice[0] in UNSTEADY:
            yield "", []
            continue
        here, there = multiprocessing.get_context("fork").Pipe(duplex=False)
        child = multiprocessing.get_context("fork").Process(
            target=_speak, args=(there, voice, settings, lines)
        )
        child.start()
        there.close()
        try:
            said = here.recv()
        except EOFError:
            said = []
        child.join()
        name = f"{language}+{voice[0]}, " + ", ".join(
            f"{key} {value}" for key, value in settings.items()
        )
        yield name, said


def _speak(pipe, voice, settings, lines):
    """Send what a voice of eSpeak NG says."""
    from synthetic_speech import Synthesizer

    synthesizer = Synthesizer()
    pipe.send([synthesizer.say(line, *voice, **settings)[0] for line in lines])
    pipe.close()


def mei(n_voices, n_each, rng):
    """Yield the voice Mei, with vocal tracts, pitches and rates that are not hers."""
    voice = FOLDER / "mei" / "mei_normal.htsvoice"
    if not voice.exists():
        voice.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(from_pypi("pyopenjtalk")) as archive:
            (found,) = (m for m in archive if m.name.endswith("/" + voice.name))
            voice.write_bytes(archive.extractfile(found).read())
    dictionary = "/var/lib/mecab/dic/open-jtalk/naist-jdic"
    texts = Texts("ja")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "said.wav"
        for _ in range(n_voices):
            warp = round(float(rng.uniform(0.44, 0.62)), 3)
            pitch = round(float(rng.uniform(-9, 3)), 1)
            rate = round(float(rng.uniform(0.8, 1.4)), 2)
            command = ["open_jtalk", "-x", dictionary, "-m", voice, "-ow", path]
            command += ["-a", str(warp), "-fm", str(pitch), "-r", str(rate)]
            said = []
            for _ in range(n_each):
                text = texts.draw(rng).replace(", ", "、").encode()
                path.write_bytes(b"")
                subprocess.run(command, input=text, capture_output=True)
                if path.stat().st_size:  # it says nothing of a text in Latin letters
                    said.append(read(path))
            yield f"Mei, warp {warp}, pitch {pitch}, rate {rate}", said


def kdl(n_voices, n_each, rng):
    """Yield the voice kdl of Festival, faster and slower, higher and lower."""
    texts = Texts("en-us")
    for number in range(n_voices):
        stretch = round(float(rng.uniform(0.75, 1.4)), 2)
        speed = SPEEDS[number % len(SPEEDS)]
        with tempfile.TemporaryDirectory() as folder:
            paths = [Path(folder) / f"{i}.wav" for i in range(n_each)]
            lines = [
                "(voice_ked_diphone)",
                f"(Parameter.set 'Duration_Stretch {stretch})",
            ]
            for path in paths:
                text = re.sub(r"[^A-Za-z0-9 ,-]", "", texts.draw(rng))
                utterance = f'(utt.synth (Utterance Text "{text}"))'
                lines.append(f'(utt.save.wave {utterance} "{path}" \'riff)')
            script = Path(folder) / "say.scm"
            script.write_text("\n".join(lines))
            subprocess.run(["festival", "-b", script], check=True, capture_output=True)
            said = [faster(read(path), speed) for path in paths if path.exists()]
        yield f"kdl, stretch {stretch}, speed {speed}", said


def russian(n_voices, n_each, rng):
    """Yield recordings of a Russian speaker, each at one of several speeds."""
    voices = from_debian("festvox-ru") / "festival" / "voices" / "russian"
    paths = sorted((voices / "msu_ru_nsh_clunits" / "wav").glob("*.wav"))
    paths = [paths[i] for i in rng.permutation(len(paths))]
    for number in range(min(n_voices, len(SPEEDS))):
        speed, said = SPEEDS[number], []
        for path in paths[number :: len(SPEEDS)]:
            said += pieces(faster(read(path), speed))
        yield f"nsh, speed {speed}", said[:n_each] if n_each else said


SOURCES = {"espeak": espeak, "mei": mei, "kdl": kdl, "russian": russian}
# Voices of each source, and utterances of each voice; 0 takes all.
AMOUNTS = {"espeak": (396, 24), "mei": (48, 24), "kdl": (24, 24), "russian": (6, 0)}


SAID_BY = [
    "eSpeak NG, in 66 languages, by voices with random variants, pitches and rates",
    "Open JTalk with the HTS voice Mei, released by the MMDAgent Project Team, in "
    "Japanese, with random vocal tracts, pitches and rates",
    "Festival with the voice kdl, in American English, at random rates and speeds",
    "recordings of one Russian speaker, by Nickolay V. Shmyrev, at six speeds",
    "a quarter of the voices over a telephone of 8 kHz; names and numbers from Unicode "
    "CLDR, except the Russian recordings",
]
LICENCES = {
    "eSpeak NG": "GPL-3.0-or-later for the program; what it says is not covered",
    "Mei": "CC-BY-3.0, Nagoya Institute of Technology, MMDAgent Project Team",
    "kdl": "BSD-like, Centre for Speech Technology Research, University of Edinburgh",
    "Russian recordings": "BSD-like, Nickolay V. Shmyrev 2005",
    "Unicode CLDR": "Unicode-3.0",
}


# ---- waveforms


def read(path):
    """Return a waveform at `RATE`."""
    with wave.open(str(path)) as file:
        rate = file.getframerate()
        waveform = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    factor = np.gcd(rate, RATE)
    return resample_poly(waveform / 2**15, RATE // factor, rate // factor)


def faster(waveform, speed):
    """Return a waveform played faster, with another pitch and vocal tract."""
    return resample_poly(waveform, 100, round(100 * speed))


def loud_frames(waveform, hop=RATE // 100):
    """Return whether each 10 ms of a waveform are within 40 dB of the loudest."""
    frames = waveform[: len(waveform) // hop * hop].reshape(-1, hop)
    power = np.square(frames).mean(1)
    return power > 1e-4 * power.max(initial=0)


def trimmed(waveform, hop=RATE // 100):
    """Return a waveform without the silence around it."""
    (loud,) = np.nonzero(loud_frames(waveform))
    if not len(loud):
        return waveform[:0]
    return waveform[max(loud[0] - 2, 0) * hop : (loud[-1] + 3) * hop]


def pieces(waveform, hop=RATE // 100, pause=12):
    """Cut a long recording where it pauses for 0.12 seconds."""
    loud = loud_frames(waveform)
    edges = np.flatnonzero(np.diff(np.r_[False, loud, False].astype(int)))
    begins, ends = edges[::2], edges[1::2]
    whole = np.flatnonzero(begins[1:] - ends[:-1] >= pause)
    begins, ends = begins[np.r_[0, whole + 1]], ends[np.r_[whole, len(ends) - 1]]
    return [waveform[a * hop : b * hop] for a, b in zip(begins, ends, strict=True)]


def telephone(waveform):
    """Return a waveform that has been at 8 kHz, with 8 bits of mu-law."""
    narrow = resample_poly(waveform, 1, 2)
    loudest = max(np.abs(narrow).max(initial=0), 1e-9)
    coded = np.sign(narrow) * np.log1p(255 * np.abs(narrow) / loudest) / np.log(256)
    coded = np.round(coded * 127) / 127
    narrow = np.sign(coded) * loudest * np.expm1(np.abs(coded) * np.log(256)) / 255
    return resample_poly(narrow, 2, 1)


def finished(said, rng):
    """Return the utterances of a voice as int16, with its line and its loudness."""
    line = telephone if rng.random() < TELEPHONE else np.asarray
    gain = LOUDNESS * 10 ** (rng.uniform(-GAIN, GAIN) / 20)
    for waveform in said:
        waveform = trimmed(waveform)[: int(SECONDS[1] * RATE)]
        if len(waveform) < SECONDS[0] * RATE:
            continue
        waveform = line(waveform)
        waveform = waveform * gain / np.sqrt(np.square(waveform).mean())
        yield np.int16(np.clip(np.round(waveform * 2**15), -(2**15), 2**15 - 1))


# ---- all of them


def recordings(amounts=None, seed=0):
    """Return waveforms, the number of the voice of each, and the names of voices.

    Parameters
    ----------
    amounts : dict, default=None
        Voices and utterances of each source; see `AMOUNTS`.
    seed : int, default=0

    Returns
    -------
    waveforms : list of ndarray (n_samples,), int16
    voices : ndarray of int (n,)
    names : list of str
    """
    waveforms, voices, names = [], [], []
    for source, (n_voices, n_each) in (amounts or AMOUNTS).items():
        some, own, new = _kept(source, n_voices, n_each, seed)
        waveforms += some
        voices += (own + len(names)).tolist()
        names += [f"{source}: {name}" for name in new]
    return waveforms, np.array(voices), names


def _kept(source, n_voices, n_each, seed):
    """Return what a source says, from the folder or new."""
    folder = FOLDER / "many_voices"
    path = folder / f"{source}-{n_voices}-{n_each}-{seed}.npz"
    if not path.exists():
        rng = np.random.default_rng([seed, *source.encode()])
        waveforms, voices, names = [], [], []
        for name, said in SOURCES[source](n_voices, n_each, rng):
            new = list(finished(said, rng))
            waveforms += new
            voices += [len(names)] * len(new)
            names += [name] * bool(new)
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".part.npz")
        np.savez(
            unfinished,
            waveform=np.concatenate(waveforms),
            lengths=[len(w) for w in waveforms],
            voices=voices,
            names=names,
        )
        shutil.move(unfinished, path)
    with np.load(path) as file:
        bounds = np.append(0, np.cumsum(file["lengths"]))
        waveform = file["waveform"]
        waveforms = [waveform[a:b] for a, b in itertools.pairwise(bounds)]
        return waveforms, file["voices"], file["names"].tolist()
