import numpy as np
from scipy.signal import find_peaks

from sklearn_cpc.datasets import load_electrocardiogram


def test_five_minutes_in_millivolts():
    ecg = load_electrocardiogram()
    assert ecg.data.shape == (5 * 60 * ecg.sampling_rate,)
    assert ecg.data.dtype == np.float32
    # The values that SciPy documents for the same excerpt.
    np.testing.assert_allclose(
        ecg.data[[0, 1, -1]], [-0.245, -0.215, -0.385], rtol=1e-5
    )
    np.testing.assert_allclose(ecg.data.mean(dtype=float), -0.16510875, rtol=1e-6)
    np.testing.assert_allclose(ecg.data.std(dtype=float), 0.5992473991177294, rtol=1e-6)


def test_a_heart_beats_in_it():
    ecg = load_electrocardiogram()
    beats, _ = find_peaks(ecg.data, prominence=0.8, distance=0.25 * ecg.sampling_rate)
    assert 70 < len(beats) / 5 < 150  # a minute


def test_bunch_names_source_and_licence():
    bunch = load_electrocardiogram()
    assert "MIT-BIH" in bunch.DESCR
    assert "ODC-By 1.0" in bunch.DESCR
