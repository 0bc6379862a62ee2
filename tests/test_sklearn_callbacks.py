"""The callbacks of scikit-learn 1.9: alone, in a pipeline, in a search."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from sklearn_cpc import CPCTransformer

callback = pytest.importorskip("sklearn.callback", reason="scikit-learn before 1.9")
# They are experimental and say so.
pytestmark = pytest.mark.filterwarnings("ignore:.*experimental")

X = np.random.default_rng(0).normal(size=(24, 30, 2)).cumsum(1)
y = np.arange(24) % 2


def cpc(**options):
    options = {"latent_size": 4, "context_size": 4, "max_epochs": 4} | options
    return CPCTransformer(random_state=0, **options)


class Recorder:
    """Notes what it is told, and stops after an epoch if asked to."""

    max_propagation_depth = None

    def __init__(self, stop_after=None, fail=False):
        self.stop_after, self.fail = stop_after, fail
        self.events, self.fitted = [], []

    def setup(self, estimator, context):
        self.events.append("setup")

    def teardown(self, estimator, context):
        self.events.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        self.events.append(("begin", context.task_name, context.task_id))
        self.max_subtasks = context.max_subtasks or getattr(self, "max_subtasks", 0)

    def on_fit_task_end(self, estimator, context, *, X, y, fitted_estimator):
        self.events.append(("end", context.task_name, context.task_id))
        self.fitted.append(fitted_estimator)
        if self.fail:
            raise RuntimeError("the callback fails")
        return context.task_name == "epoch" and context.task_id == self.stop_after


def test_every_epoch_is_a_task():
    recorder = Recorder()
    cpc().set_callbacks(recorder).fit(X)
    epochs = [(when, "epoch", i) for i in range(4) for when in ("begin", "end")]
    assert recorder.events == [
        "setup",
        ("begin", "fit", 0),
        *epochs,
        ("end", "fit", 0),
        "teardown",
    ]
    assert recorder.max_subtasks == 4


def test_automatic_epochs_are_known_in_advance():
    recorder = Recorder(stop_after=0)
    cpc(max_epochs="auto", batch_size=6).set_callbacks(recorder).fit(X)
    assert recorder.max_subtasks == 23  # few steps: fewer than 100 updates


def test_a_callback_stops_the_training():
    fitted = cpc().set_callbacks(Recorder(stop_after=1)).fit(X)
    assert fitted.n_epochs_ == 2


def test_each_epoch_has_a_fitted_estimator_of_its_own():
    recorder = Recorder()
    fitted = cpc().set_callbacks(recorder).fit(X)
    assert [e.n_epochs_ for e in recorder.fitted] == [1, 2, 3, 4, 4]
    features = [e.transform(X) for e in recorder.fitted]
    np.testing.assert_array_equal(features[-1], fitted.transform(X))
    np.testing.assert_array_equal(features[-2], fitted.transform(X))
    assert not np.array_equal(features[0], features[1])
    stopped = cpc().set_callbacks(Recorder(stop_after=1)).fit(X)
    np.testing.assert_array_equal(features[1], stopped.transform(X))


def test_callbacks_change_no_result_and_stay_out_of_the_model():
    plain = cpc().fit(X)
    recorder = Recorder()
    observed = cpc().set_callbacks(recorder).fit(X)
    np.testing.assert_array_equal(observed.transform(X), plain.transform(X))
    observed.set_callbacks()
    assert len(pickle.dumps(observed)) < 1.01 * len(pickle.dumps(plain))


def test_failure_is_torn_down_and_changes_nothing():
    fitted = cpc().fit(X)
    before, attributes = fitted.transform(X), set(vars(fitted))
    recorder = Recorder(fail=True)
    with pytest.raises(RuntimeError, match="the callback fails"):
        fitted.set_callbacks(recorder).fit(X)
    assert recorder.events[-1] == "teardown"
    assert set(vars(fitted)) == attributes | {"_skl_callbacks"}
    np.testing.assert_array_equal(fitted.transform(X), before)


def test_in_a_pipeline_and_in_a_search():
    recorder = Recorder()
    pipe = make_pipeline(cpc(max_epochs=2), LogisticRegression())
    clone(pipe).set_callbacks(recorder).fit(X, y)
    assert recorder.events.count(("begin", "epoch", 1)) == 1
    search = GridSearchCV(pipe, {"cpctransformer__lr": [1e-3, 1e-2]}, cv=2)
    recorder = Recorder()
    search.set_callbacks(recorder).fit(X, y)
    assert recorder.events.count(("begin", "epoch", 1)) == 5  # 2 x 2 and the refit


def test_progress_bar(capsys):
    pytest.importorskip("rich", reason="scikit-learn's ProgressBar needs rich")
    bar = callback.ProgressBar()
    make_pipeline(cpc(), LogisticRegression()).set_callbacks(bar).fit(X, y)
    assert "CPCTransformer" in capsys.readouterr().out


def score(estimator, X, y=None):
    return estimator.score(X)


def test_scoring_monitor():
    monitor = callback.ScoringMonitor(scoring={"nats": score})
    # scikit-learn 1.9 scores only where there are labels; CPC ignores them.
    fitted = cpc(lr=0.01).set_callbacks(monitor).fit(X, y)
    rows = [row for row in monitor.get_logs().data if row["task_name"] == "epoch"]
    assert [row["task_id"] for row in rows] == [0, 1, 2, 3]
    assert rows[-1]["nats"] == pytest.approx(fitted.score(X))
    assert rows[0]["nats"] != pytest.approx(rows[-1]["nats"])
