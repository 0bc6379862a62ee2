"""The example that follows a recording prints what the model says of the whole."""

import importlib.util
import io
import wave
from pathlib import Path

import numpy as np
import pytest

from sklearn_cpc import CPCTransformer

PATH = Path(__file__).parent.parent / "examples" / "stream_audio.py"
SAMPLES = (3000 * np.random.default_rng(0).normal(size=8_050)).astype("<i2")


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location(PATH.stem, PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def wav(rate=16_000, samples=SAMPLES):
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((1, 2, rate, len(samples), "NONE", ""))
        file.writeframes(samples.tobytes())
    return buffer.getvalue()


class Pipe(io.RawIOBase):
    """Bytes that come in pieces and cannot be rewound."""

    def __init__(self, data):
        self.data = io.BytesIO(data)

    def readable(self):
        return True

    def readinto(self, buffer):
        part = self.data.read(min(len(buffer), 1000))
        buffer[: len(part)] = part
        return len(part)


@pytest.fixture(scope="module")
def model(script, tmp_path_factory):
    folder = tmp_path_factory.mktemp("recordings")
    (folder / "a.wav").write_bytes(wav())
    (folder / "b.raw").write_bytes(SAMPLES[::-1].tobytes())
    path = str(folder / "model.safetensors")
    files = [str(folder / name) for name in ("a.wav", "b.raw")]
    script.main([path, "--epochs", "1", "--fit", *files])
    return path


@pytest.mark.parametrize("data", [wav(), SAMPLES.tobytes() + b"\0"], ids=["wav", "raw"])
def test_features_through_a_pipe_are_those_of_the_whole(script, model, data, capsys):
    script.main([model, "--chunk", "0.013"], stdin=io.BufferedReader(Pipe(data)))
    table = np.loadtxt(io.StringIO(capsys.readouterr().out), delimiter=",")
    expected = CPCTransformer.load(model).transform_steps([SAMPLES])[0]
    np.testing.assert_allclose(table[:, 0], np.arange(51) / 100)
    np.testing.assert_allclose(table[:, 1:], expected, atol=1e-4)


def test_another_rate_is_refused_with_the_remedy(script, model):
    with pytest.raises(SystemExit, match=r"8000 Hz.*-ar 16000"):
        script.main([model], stdin=io.BufferedReader(Pipe(wav(rate=8_000))))
