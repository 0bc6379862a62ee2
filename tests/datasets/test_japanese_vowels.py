import numpy as np

from sklearn_cpc.datasets import load_japanese_vowels


def test_the_sizes_of_the_source():
    for split, n_samples, per_speaker in [
        ("train", 270, [30] * 9),
        ("test", 370, [31, 35, 88, 44, 29, 24, 40, 50, 29]),
    ]:
        X, y = load_japanese_vowels(split=split, return_X_y=True)
        assert len(X) == len(y) == n_samples
        assert np.bincount(y)[1:].tolist() == per_speaker
        assert {x.shape[1] for x in X} == {12}
        assert {x.dtype for x in X} == {np.dtype(np.float32)}
        assert all(np.isfinite(x).all() for x in X)


def test_lengths_are_7_to_29():
    lengths = [len(x) for x in load_japanese_vowels(split="all").data]
    assert (min(lengths), max(lengths)) == (7, 29)
    assert len(set(lengths)) > 10


def test_first_values_of_the_source():
    X, _ = load_japanese_vowels(return_X_y=True)
    np.testing.assert_allclose(X[0][0, :3], [1.860936, -0.207383, 0.261557], atol=1e-6)


def test_all_is_both():
    train, test = (load_japanese_vowels(split=split) for split in ("train", "test"))
    both = load_japanese_vowels(split="all")
    assert len(both.data) == 640
    np.testing.assert_array_equal(both.target, np.append(train.target, test.target))
    np.testing.assert_array_equal(both.data[270], test.data[0])


def test_bunch_names_source_and_licence():
    bunch = load_japanese_vowels()
    assert "Kudo" in bunch.DESCR
    assert "CC BY 4.0" in bunch.DESCR
