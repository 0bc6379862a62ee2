"""Engines that spread work: Dask, Spark and Ray; and data that come in chunks."""

import os
import pickle
import shutil
import signal
import sys
import time
from contextlib import suppress

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, KFold
from skorch.callbacks import Callback

from sklearn_cpc import CPCTransformer

# The engines warn of each other's and of their own things to come.
pytestmark = pytest.mark.filterwarnings("default")
rng = np.random.default_rng(0)
X = [rng.normal(size=(n, 2)).cumsum(0) for n in rng.integers(20, 60, 24)]
TABLE = rng.normal(size=(24, 40)).cumsum(1)


def cpc(**options):
    options = {"latent_size": 8, "context_size": 8, "max_epochs": 3} | options
    return CPCTransformer(random_state=0, n_jobs=1, **options)


@pytest.fixture(scope="module")
def client():
    """Two worker processes of one thread each."""
    distributed = pytest.importorskip("distributed", reason="needs dask[distributed]")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


# ---- search


def on_dask():
    """Send the data once to every worker, and then candidates only."""
    from joblib import parallel_config

    return parallel_config("dask", scatter=[X])


GRID = {"lr": [1e-4, 1e-2], "max_epochs": [0, 10]}
SEARCHES = {
    "grid": lambda **options: GridSearchCV(
        cpc(), GRID, cv=KFold(2), error_score="raise", **options
    ),
    "halving": lambda **options: HalvingGridSearchCV(
        cpc(),
        GRID,
        cv=KFold(2),
        error_score="raise",
        min_resources=12,
        random_state=0,
        **options,
    ),
}


@pytest.mark.parametrize("kind", SEARCHES)
def test_a_search_on_dask_is_the_search_of_one_process(client, kind):
    search = SEARCHES[kind]
    alone = search().fit(X)
    with on_dask():
        spread = search(n_jobs=-1).fit(X)
    assert spread.best_params_ == alone.best_params_
    for name in ("params", "split0_test_score", "mean_test_score"):
        assert list(spread.cv_results_[name]) == list(alone.cv_results_[name])
    np.testing.assert_array_equal(spread.transform(X), alone.transform(X))


class KillOnce(Callback):
    """Kills the process after an epoch, the first time in all processes."""

    def __init__(self, path):
        self.path = path

    def on_epoch_end(self, net, **kwargs):
        with suppress(FileExistsError), open(self.path, "x"):
            os.kill(os.getpid(), signal.SIGKILL)


def test_a_search_survives_the_loss_of_a_worker(client, tmp_path):
    cloudpickle = pytest.importorskip("cloudpickle")
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    path = tmp_path / "killed"

    def search(**options):
        killer = cpc(callbacks=[KillOnce(str(path))])
        return GridSearchCV(killer, GRID, cv=KFold(2), error_score="raise", **options)

    workers = set(client.run(os.getpid).values())
    with on_dask():
        spread = search(n_jobs=-1).fit(X)
    assert path.exists()
    client.wait_for_workers(2, timeout=600)  # an import, on a busy machine
    assert len(workers & set(client.run(os.getpid).values())) == 1
    alone = search().fit(X)
    scores = [s.cv_results_["mean_test_score"].tolist() for s in (alone, spread)]
    assert scores[0] == scores[1]
    assert spread.best_params_ == alone.best_params_


# ---- transform: the model is sent to each process once, not with each partition


def features(part, model):
    return model.transform(part)


@pytest.mark.parametrize("n_channels", [1, 2])
def test_dask_array(client, n_channels):
    dask, da = pytest.importorskip("dask"), pytest.importorskip("dask.array")
    data = TABLE if n_channels == 1 else np.stack([x[:20] for x in X])
    fitted = cpc().fit(data)
    array = da.from_array(data, chunks=(7, *data.shape[1:]))
    output = array.map_blocks(
        features,
        model=dask.delayed(fitted),
        drop_axis=list(range(2, array.ndim)),
        chunks=(array.chunks[0], len(fitted.get_feature_names_out())),
        meta=np.empty((0, 0), np.float32),
    )
    expected = fitted.transform(data)
    assert output.shape == expected.shape
    np.testing.assert_array_equal(output.compute(), expected)


def test_dask_dataframe(client):
    dd = pytest.importorskip("dask.dataframe", reason="needs dask[dataframe]")
    dask = pytest.importorskip("dask")
    frame = pd.DataFrame(TABLE, columns=[f"t{i}" for i in range(TABLE.shape[1])])
    fitted = cpc().set_output(transform="pandas").fit(frame)
    expected = fitted.transform(frame)
    output = dd.from_pandas(frame, npartitions=3).map_partitions(
        features, dask.delayed(fitted), meta=expected.head(0)
    )
    pd.testing.assert_frame_equal(output.compute(), expected)


@pytest.fixture(scope="module")
def spark():
    sql = pytest.importorskip("pyspark.sql", reason="needs pyspark[sql]")
    if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        pytest.skip("Spark needs Java")
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    session = (
        sql.SparkSession.builder.master("local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.sql.shuffle.partitions", "2")
        .getOrCreate()
    )
    yield session
    session.stop()


@pytest.fixture(scope="module")
def series(spark):
    """A frame of the sequences, one channel, with their number."""
    rows = [(i, x[:, 0].tolist()) for i, x in enumerate(X)]
    return spark.createDataFrame(rows, "id long, series array<double>").repartition(3)


UNIVARIATE = [x[:, :1] for x in X]
# A partition pads its sequences to another length than the whole set does. torch then
# adds the steps in another order, and "std" differs in the last bit on some processors.
ROUNDING = {"rtol": 0, "atol": 1e-6}


@pytest.mark.slow
def test_spark_pandas_udf(spark, series):
    from pyspark.sql.functions import pandas_udf

    fitted = cpc().fit(UNIVARIATE)
    model = spark.sparkContext.broadcast(fitted)

    def features(series):
        return pd.Series(list(model.value.transform(series)))

    udf = pandas_udf(features, "array<float>")
    rows = series.select("id", udf("series").alias("features")).orderBy("id").collect()
    found = np.array([row.features for row in rows])
    np.testing.assert_allclose(found, fitted.transform(UNIVARIATE), **ROUNDING)


@pytest.mark.slow
def test_spark_map_in_pandas(spark, series):
    fitted = cpc().set_output(transform="pandas").fit(UNIVARIATE)
    model = spark.sparkContext.broadcast(fitted)
    names = fitted.get_feature_names_out()

    def features(frames):
        for frame in frames:
            output = model.value.transform(frame["series"])
            yield pd.concat([frame[["id"]], output], axis=1)

    schema = "id long, " + ", ".join(f"{name} float" for name in names)
    table = series.mapInPandas(features, schema).toPandas().sort_values("id")
    expected = fitted.transform(UNIVARIATE)
    np.testing.assert_allclose(table[names], expected, **ROUNDING)


class Features:
    """What an actor of Ray does: the model is sent once, the batches pass by."""

    def __init__(self, model):
        self.model = model

    def __call__(self, batch):
        return {"id": batch["id"], "features": self.model.transform(batch["series"])}


@pytest.mark.slow
def test_ray_map_batches():
    ray = pytest.importorskip("ray", reason="needs ray[data]")
    cloudpickle = pytest.importorskip("ray.cloudpickle")
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    fitted = cpc().fit(TABLE)
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        data = ray.data.from_items(
            [{"id": i, "series": row} for i, row in enumerate(TABLE)]
        )
        rows = data.map_batches(
            Features,
            fn_constructor_args=[fitted],
            batch_size=7,
            batch_format="numpy",
            compute=ray.data.ActorPoolStrategy(size=1),
        ).take_all()
    finally:
        ray.shutdown()
    features = [row["features"] for row in sorted(rows, key=lambda row: row["id"])]
    np.testing.assert_allclose(features, fitted.transform(TABLE), atol=1e-6)


# ---- what is sent


def test_a_fitted_estimator_is_small_and_quick_to_read():
    """Weights, little else; in a process that has imported the package."""
    fitted = CPCTransformer(max_epochs=1, random_state=0).fit(TABLE)
    weights = sum(p.numel() * 4 for p in fitted.net_.module_.parameters())
    message = pickle.dumps(fitted)
    assert len(message) <= 1.2 * weights
    seconds = []
    for _ in range(5):
        begin = time.process_time()
        pickle.loads(message)
        seconds.append(time.process_time() - begin)
    assert min(seconds) < 0.05


# ---- streams


N_CHUNKS, N_ROWS, N_STEPS, N_EPOCHS = 5, 30, 48, 8


def chunk(i):
    """Return chunk `i`: rows differ in size from chunk to chunk."""
    noise = np.random.default_rng(i).normal(size=(N_ROWS, N_STEPS, 2))
    return (noise.cumsum(1) * (1 + i) + 10 * i).astype(np.float32)


def parquet(folder):
    """Write a file with a list for each channel, and read it slice by slice."""
    for i in range(N_CHUNKS):
        frame = {f"c{c}": list(chunk(i)[:, :, c]) for c in range(2)}
        pl.DataFrame(frame).write_parquet(folder / f"{i:03}.parquet")
    stored = pl.scan_parquet(folder / "*.parquet")
    for start in range(0, N_CHUNKS * N_ROWS, N_ROWS):
        yield stored.slice(start, N_ROWS).collect()


def hdf5(folder):
    h5py = pytest.importorskip("h5py", reason="needs h5py")
    with h5py.File(folder / "stream.h5", "w") as file:
        data = file.create_dataset(
            "X", (N_CHUNKS * N_ROWS, N_STEPS, 2), np.float32, chunks=(N_ROWS, 8, 2)
        )
        for i in range(N_CHUNKS):
            data[i * N_ROWS : (i + 1) * N_ROWS] = chunk(i)
        for start in range(0, len(data), N_ROWS):
            yield data[start : start + N_ROWS]


def zarr(folder):
    zarr = pytest.importorskip("zarr", reason="needs zarr")
    data = zarr.create_array(
        store=str(folder / "stream.zarr"),
        shape=(N_CHUNKS * N_ROWS, N_STEPS, 2),
        dtype="float32",
        chunks=(N_ROWS, N_STEPS, 2),
        overwrite=True,
    )
    for i in range(N_CHUNKS):
        data[i * N_ROWS : (i + 1) * N_ROWS] = chunk(i)
    for start in range(0, data.shape[0], N_ROWS):
        yield data[start : start + N_ROWS]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("store", [parquet, hdf5, zarr])
def test_a_stream_has_the_scaling_and_the_worth_of_one_fit(tmp_path, store):
    together = np.concatenate([chunk(i) for i in range(N_CHUNKS)])
    stream = cpc(batch_size=10, lr=5e-3)
    for _ in range(N_EPOCHS):
        for part in store(tmp_path):
            stream.partial_fit(part)
    at_once = cpc(batch_size=10, lr=5e-3, max_epochs=N_EPOCHS).fit(together)
    assert len(stream.loss_curve_) == N_EPOCHS * N_CHUNKS
    for name in ("mean", "var", "scale"):
        running, expected = (
            getattr(fitted._scaling.moments, name) for fitted in (stream, at_once)
        )
        np.testing.assert_allclose(running, expected, rtol=1e-9)
    untrained = cpc(max_epochs=0).fit(together)
    scores = [fitted.score(together) for fitted in (untrained, stream, at_once)]
    print(scores)
    assert scores[1] > scores[0] + 0.8 * (scores[2] - scores[0])


# ---- a large array


@pytest.mark.slow
def test_two_gibibytes_by_partitions(client):
    """Memory is bounded, and the features are those of a transform in memory."""
    dask, da = pytest.importorskip("dask"), pytest.importorskip("dask.array")
    n_rows, n_steps, size = 2**16, 2**13, 2**10  # float32: 2 GiB in blocks of 32 MiB

    def block(block_id):
        noise = np.random.default_rng(block_id[0])
        return noise.standard_normal((size, n_steps), dtype=np.float32)

    array = da.map_blocks(
        block,
        chunks=((size,) * (n_rows // size), (n_steps,)),
        meta=np.empty((0, 0), np.float32),
    )
    assert array.nbytes == 2**31
    fitted = cpc(latent_size=4, context_size=4, features="latent", max_epochs=0)
    fitted.fit(block((0, 0))[:50])
    output = array.map_blocks(
        features,
        model=dask.delayed(fitted),
        chunks=(array.chunks[0], len(fitted.get_feature_names_out())),
        meta=np.empty((0, 0), np.float32),
    ).compute()
    assert len(output) == n_rows
    for i in (0, 31, 63):
        expected = fitted.transform(block((i, 0)))
        np.testing.assert_array_equal(output[i * size : (i + 1) * size], expected)
    assert max(client.run(peak_memory).values()) < 2**30


def peak_memory():
    """Return the most bytes that this process ever had."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
