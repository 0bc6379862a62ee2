"""CPC estimators with the tools and containers of other libraries.

aeon and sktime do not install beside the tested set of versions, and tslearn is large:
their containers, plain arrays, lists and frames, are built here as they define them.
"""

import warnings
from contextlib import contextmanager

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_cpc import CPCTransformer
from sklearn_cpc.datasets import load_japanese_vowels
from sklearn_cpc.preprocessing import sequences_from_long

X, y = load_japanese_vowels(return_X_y=True)
X, y = [x[:, :3] for x in X[::9]], y[::9]
TABLE = np.random.default_rng(0).normal(size=(12, 20)).cumsum(1)
NEEDED = "needs the extra interop"


def cpc(**options):
    options = {"latent_size": 8, "context_size": 8, "max_epochs": 1} | options
    return CPCTransformer(random_state=0, **options)


def pipeline(**options):
    return make_pipeline(
        cpc(**options), StandardScaler(), LogisticRegression(max_iter=1000)
    )


@contextmanager
def their_own_warnings():
    """Ignore what other libraries warn of in each other."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


# ---- containers of time series libraries


def assert_same_as_list(container, **options):
    """The container gives the features that a list of the same sequences gives."""
    expected = cpc().fit(X).transform(X)
    features = cpc(**options).fit_transform(container)
    np.testing.assert_allclose(features, expected, atol=1e-5)


def stacked(n_timesteps=7):
    return np.stack([x[:n_timesteps] for x in X])  # (n, T, C)


def test_aeon_and_sktime_numpy3d():
    """Channels before time steps, all of one length."""
    expected = cpc().fit(stacked()).transform(stacked())
    numpy3d = stacked().transpose(0, 2, 1)
    features = cpc(channels_first=True).fit_transform(numpy3d)
    np.testing.assert_array_equal(features, expected)


def test_aeon_np_list():
    """What `aeon.datasets.load_japanese_vowels` returns."""
    assert_same_as_list([x.T for x in X], channels_first=True)


def test_sktime_nested_univ():
    """What `sktime.datasets.load_japanese_vowels` returns: cells hold series."""
    columns = {f"dim_{i}": [pd.Series(x[:, i]) for x in X] for i in range(3)}
    assert_same_as_list(pd.DataFrame(columns))


def multiindex():
    frames = {i: pd.DataFrame(x, columns=list("abc")) for i, x in enumerate(X)}
    return pd.concat(frames, names=["instances", "timepoints"])


def test_sktime_df_list():
    assert_same_as_list([frame for _, frame in multiindex().groupby(level=0)])


def test_sktime_pd_multiindex_is_refused_with_a_way_out():
    X = multiindex()
    with pytest.raises(ValueError, match="MultiIndex") as caught:
        cpc().fit(X)
    way_out = str(caught.value).partition("series: ")[2].removesuffix(".")
    assert way_out == "sklearn_cpc.preprocessing.sequences_from_long(X).X"
    assert_same_as_list(sequences_from_long(X).X)


def test_tslearn():
    """(n, T, C) with NaN at the end, as `to_time_series_dataset` returns."""
    padded = np.full((len(X), max(map(len, X)), 3), np.nan)
    for row, x in zip(padded, X, strict=True):
        row[: len(x)] = x
    assert_same_as_list(padded, nan_policy="mask")


# ---- frames and labelled arrays

WITH_GAPS = TABLE.copy()
WITH_GAPS[1, 15:] = np.nan  # the end
WITH_GAPS[2, 3] = np.nan  # a gap
COLUMNS = [f"t{i}" for i in range(TABLE.shape[1])]
DTYPES = ["Float64", "Float32", "double[pyarrow]"]


def needs(dtype):
    if "pyarrow" in dtype:
        pytest.importorskip("pyarrow", reason=NEEDED)


@pytest.mark.parametrize("dtype", DTYPES)
def test_pandas_extension_dtypes(dtype):
    needs(dtype)
    frame = pd.DataFrame(TABLE, columns=COLUMNS).astype(dtype)
    features = cpc().fit_transform(frame)
    atol = 1e-5 if dtype == "Float32" else 0
    np.testing.assert_allclose(features, cpc().fit_transform(TABLE), atol=atol)
    assert cpc().fit(frame).feature_names_in_.tolist() == COLUMNS


@pytest.mark.parametrize("dtype", DTYPES)
def test_pandas_na(dtype):
    needs(dtype)
    frame = pd.DataFrame(WITH_GAPS, columns=COLUMNS)
    frame = frame.astype(object).where(frame.notna(), pd.NA).astype(dtype)
    assert frame.iloc[2, 3] is pd.NA
    with pytest.raises(ValueError, match=r"NaN, first in sample 1\. With nan_policy"):
        cpc().fit(frame)
    features = cpc(nan_policy="mask").fit_transform(frame)
    expected = cpc(nan_policy="mask").fit_transform(WITH_GAPS)
    atol = 1e-5 if dtype == "Float32" else 0
    np.testing.assert_allclose(features, expected, atol=atol)


@pytest.mark.parametrize("dtype", ["Int64", "int64[pyarrow]", "boolean"])
def test_pandas_nullable_integers(dtype):
    needs(dtype)
    values = TABLE > 0 if dtype == "boolean" else (10 * TABLE).astype(int)
    frame = pd.DataFrame(values, columns=COLUMNS).astype(dtype)
    expected = cpc().fit_transform(values)
    np.testing.assert_array_equal(cpc().fit_transform(frame), expected)


def test_pandas_na_in_columns_of_objects_is_refused_with_a_way_out():
    frame = pd.DataFrame(WITH_GAPS, columns=COLUMNS)
    frame = frame.astype(object).where(frame.notna(), pd.NA)
    with pytest.raises(ValueError, match=r"X\.astype\('Float64'\)"):
        cpc(nan_policy="mask").fit(frame)
    features = cpc(nan_policy="mask").fit_transform(frame.astype("Float64"))
    expected = cpc(nan_policy="mask").fit_transform(WITH_GAPS)
    np.testing.assert_allclose(features, expected, atol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
def test_list_of_frames_with_na(dtype):
    needs(dtype)
    gaps = [x.copy() for x in X]
    gaps[0][2, 1] = np.nan
    frames = [pd.DataFrame(x) for x in gaps]
    frames = [f.astype(object).where(f.notna(), pd.NA).astype(dtype) for f in frames]
    with pytest.raises(ValueError, match="NaN, first in sample 0"):
        cpc().fit(frames)
    features = cpc(nan_policy="mask").fit_transform(frames)
    expected = cpc(nan_policy="mask").fit_transform(gaps)
    np.testing.assert_allclose(features, expected, atol=1e-5)


def test_series_with_na_in_cells():
    gaps = [x.copy() for x in X]
    gaps[0][2, 1] = np.nan
    expected = cpc(nan_policy="mask").fit_transform(gaps)
    columns = {
        f"dim_{i}": [
            pd.Series([pd.NA if np.isnan(v) else v for v in x[:, i]], dtype="Float64")
            for x in gaps
        ]
        for i in range(3)
    }
    features = cpc(nan_policy="mask").fit_transform(pd.DataFrame(columns))
    np.testing.assert_allclose(features, expected, atol=1e-6)


def test_arrow_lists_in_cells():
    pa = pytest.importorskip("pyarrow", reason=NEEDED)
    lists = pd.ArrowDtype(pa.list_(pa.float64()))
    columns = {
        f"lpc{i}": pd.Series([x[:, i].tolist() for x in X], dtype=lists)
        for i in range(3)
    }
    assert_same_as_list(pd.DataFrame(columns))


def test_tables_of_arrow():
    pa = pytest.importorskip("pyarrow", reason=NEEDED)
    table = pa.table(dict(zip(COLUMNS, TABLE.T, strict=True)))
    fitted = cpc().fit(table)
    assert fitted.feature_names_in_.tolist() == COLUMNS
    np.testing.assert_array_equal(fitted.transform(table), cpc().fit_transform(TABLE))
    assert_same_as_list(
        pa.table({f"lpc{i}": [x[:, i].tolist() for x in X] for i in range(3)})
    )


def test_polars():
    frame = pl.DataFrame(dict(zip(COLUMNS, TABLE.T, strict=True)))
    expected = cpc().fit_transform(TABLE)
    np.testing.assert_array_equal(cpc().fit_transform(frame), expected)
    gaps = pl.DataFrame(dict(zip(COLUMNS, WITH_GAPS.T, strict=True)))
    with pytest.raises(ValueError, match="NaN, first in sample 1"):
        cpc().fit(gaps.fill_nan(None))
    expected = cpc(nan_policy="mask").fit_transform(WITH_GAPS)
    for missing in (gaps, gaps.fill_nan(None)):
        features = cpc(nan_policy="mask").fit_transform(missing)
        np.testing.assert_array_equal(features, expected)
    assert_same_as_list(
        pl.DataFrame({f"lpc{i}": [x[:, i].tolist() for x in X] for i in range(3)})
    )


def test_xarray():
    xr = pytest.importorskip("xarray", reason=NEEDED)
    values = stacked()
    array = xr.DataArray(
        values,
        dims=("sample", "time", "channel"),
        coords={
            "time": pd.date_range("2020", periods=7, freq="h"),
            "channel": list("abc"),
        },
    )
    expected = cpc().fit_transform(values)
    np.testing.assert_array_equal(cpc().fit_transform(array), expected)
    table = array.isel(channel=0)
    expected = cpc().fit_transform(values[:, :, 0])
    np.testing.assert_array_equal(cpc().fit_transform(table), expected)
    ragged = [xr.DataArray(x, dims=("time", "channel")) for x in X]
    assert_same_as_list(ragged)


# ---- tools


def test_permutation_importance_finds_the_steps_that_matter():
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 2
    table = rng.normal(size=(60, 12), scale=0.1)
    table[:, 4] += 3 * labels
    pipe = pipeline().fit(table, labels)
    importance = permutation_importance(
        pipe, table, labels, n_repeats=3, random_state=0
    )
    assert importance.importances_mean.shape == (12,)
    assert importance.importances_mean.argmax() == 4


def test_imbalanced_learn():
    over_sampling = pytest.importorskip("imblearn.over_sampling", reason=NEEDED)
    from imblearn.pipeline import make_pipeline as make_balanced_pipeline

    rows = np.flatnonzero((y == 1) | ((y == 2) & (np.arange(len(y)) % 2 == 0)))
    few, labels = [X[row] for row in rows], y[rows]
    pipe = make_balanced_pipeline(
        cpc(),
        over_sampling.RandomOverSampler(random_state=0),
        LogisticRegression(max_iter=1000),
    ).fit(few, labels)
    features, balanced = pipe[:2].fit_resample(few, labels)
    assert np.bincount(balanced)[1:].tolist() == [np.bincount(labels).max()] * 2
    assert features.shape[1] == len(pipe[0].get_feature_names_out())
    assert pipe.predict(few).shape == labels.shape
    scores = cross_val_score(pipe, few, labels, cv=2, error_score="raise")
    assert len(scores) == 2


def test_mlflow(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow", reason=NEEDED)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # without a data base
    pipe = pipeline().fit(X, y)
    with their_own_warnings():
        mlflow.set_tracking_uri((tmp_path / "runs").as_uri())
        with mlflow.start_run():
            mlflow.log_metric("nats", pipe[0].score(X))
            info = mlflow.sklearn.log_model(
                pipe, name="model", serialization_format="cloudpickle"
            )
        loaded = mlflow.sklearn.load_model(info.model_uri)
    np.testing.assert_array_equal(loaded.predict_proba(X), pipe.predict_proba(X))


def test_optuna_study():
    optuna = pytest.importorskip("optuna", reason=NEEDED)
    optuna.logging.set_verbosity(optuna.logging.ERROR)

    def objective(trial):
        estimator = pipeline(
            context=trial.suggest_categorical("context", ["gru", "conv"]),
            lr=trial.suggest_float("lr", 1e-4, 1e-2, log=True),
            latent_size=trial.suggest_int("latent_size", 4, 8),
        )
        return cross_val_score(estimator, X, y, cv=2, error_score="raise").mean()

    with their_own_warnings():
        study = optuna.create_study(
            direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0)
        )
        study.optimize(objective, n_trials=3)
    assert set(study.best_params) == {"context", "lr", "latent_size"}
    assert study.best_value == max(trial.value for trial in study.trials)


def test_optuna_search():
    optuna = pytest.importorskip("optuna", reason=NEEDED)
    integration = pytest.importorskip("optuna_integration", reason=NEEDED)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    distributions = {
        "cpctransformer__lr": optuna.distributions.FloatDistribution(1e-4, 1e-2),
    }
    with their_own_warnings():
        search = integration.OptunaSearchCV(
            pipeline(), distributions, cv=2, n_trials=2, random_state=0
        ).fit(X, y)
    assert 1e-4 <= search.best_params_["cpctransformer__lr"] <= 1e-2
    assert search.predict(X).shape == y.shape
