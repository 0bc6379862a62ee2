"""
=================================
Features during a live recording
=================================

Train on some recordings, then follow a microphone, a pipe or a file::

    python examples/stream_audio.py speech.model --fit monday.wav tuesday.wav
    arecord -q -t raw -f S16_LE -r 16000 | python examples/stream_audio.py speech.model
    python examples/stream_audio.py speech.model wednesday.wav > features.csv

Input is WAV or raw samples: mono, 16 bits, 16 kHz. For every 10 ms, the script prints a
line: the time in seconds, then the features (the contexts of the model).
"""

# sphinx_gallery_thumbnail_path = "_static/cpc.svg"

import argparse
import sys
import wave

import numpy as np

from sklearn_cpc import CPCTransformer

RATE = 16_000


def chunks(file, n_samples):
    """Yield the samples of a WAV file or of raw bytes when they arrive."""
    if file.peek(4)[:4] == b"RIFF":
        recording = wave.open(file)  # noqa: SIM115 - the file is its caller's
        form = (recording.getframerate(), recording.getnchannels())
        if (*form, recording.getsampwidth()) != (RATE, 1, 2):
            raise SystemExit(
                f"The recording has {form[0]} Hz, {form[1]} channels and "
                f"{8 * recording.getsampwidth()} bits. Convert it first: "
                f"ffmpeg -i INPUT -ar {RATE} -ac 1 -sample_fmt s16 OUTPUT.wav"
            )
        read = recording.readframes
    else:

        def read(n):
            return file.read(2 * n)

    while data := read(n_samples):
        yield np.frombuffer(data[: len(data) // 2 * 2], "<i2")


def samples(path):
    """Return all samples of a file."""
    with open(path, "rb") as file:
        return np.concatenate(list(chunks(file, 60 * RATE)))


def follow(file, stream, seconds):
    """Print the features of a recording when they arrive."""
    n_done = 0
    for chunk in chunks(file, max(1, round(seconds * RATE))):
        for features in stream.push(chunk):
            print(f"{n_done / 100:.2f}", *(f"{v:.4f}" for v in features), sep=",")
            n_done += 1
        sys.stdout.flush()


def main(arguments=None, stdin=None):
    """Train a model, or print features."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[2])
    parser.add_argument("model", help="file of the model")
    parser.add_argument("recording", nargs="?", default="-", help="- is standard input")
    parser.add_argument("--fit", nargs="+", metavar="FILE", help="train on these files")
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--chunk", type=float, default=0.05, help="seconds of a chunk")
    arguments = parser.parse_args(arguments)
    if arguments.fit:
        cpc = CPCTransformer(
            encoder="log_mel",
            features="context",
            max_epochs=arguments.epochs,
            random_state=0,
            n_jobs=1,
        )
        cpc.fit([samples(path) for path in arguments.fit]).save(arguments.model)
        return
    stream = CPCTransformer.load(arguments.model).stream()
    if arguments.recording == "-":
        follow(stdin or sys.stdin.buffer, stream, arguments.chunk)
    else:
        with open(arguments.recording, "rb") as file:
            follow(file, stream, arguments.chunk)


if __name__ == "__main__":
    main()
