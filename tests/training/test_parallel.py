"""Several processes train one model; see rank.py for what each of them runs."""

import os
import pickle
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from sklearn_cpc import CPCTransformer

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
HAS_BARS = hasattr(CPCTransformer, "set_callbacks")  # scikit-learn 1.9
SCRIPT = Path(__file__).with_name("rank.py")
rng = np.random.default_rng(0)
X = [rng.normal(size=(n, 2)).cumsum(0) for n in rng.integers(8, 60, 41)]
GROUPS = np.arange(41) % 3
# Nothing to predict in most of these: many a process has a batch without pairs.
SHORT = [x[: 20 if i % 4 == 0 else 2] for i, x in enumerate(X)]
OPTIONS = {
    "latent_size": 8,
    "context_size": 8,
    "batch_size": 20,
    "crop_length": 40,
    "max_epochs": 17,
    "random_state": 0,
}
# The slow test trains these for 17 epochs of 3 batches of 16 or 17 windows.
FEW = {"max_epochs": 5}
LIKE_ONE = {
    "batch": {},
    # Another seed: from 0, the gradient of one weight is next to 0 at the start, where
    # Adam makes much of rounding (1 of 128 weights of a layer ends 2e-5 apart).
    "same_sequence": {
        "options": {
            "negatives": "same_sequence",
            "context": "conv",
            "random_state": 1,
            **FEW,
        }
    },
    "groups": {
        "options": {
            "negatives": "same_group_other_sequences",
            "n_negatives": 16,
            **FEW,
        },
        "groups": GROUPS,
    },
    "early_stopping": {
        "options": {
            "early_stopping": True,
            "n_iter_no_change": 2,
            "validation_fraction": 0.3,
            "lr": 0.02,
        }
    },
    "no_pairs": {"X": SHORT, "options": {"batch_size": 3, "max_epochs": 2}},
    "partial_fit": {"method": "partial_fit", "n_fits": 3},
    "warm_start": {"options": {"warm_start": True, "max_epochs": 2}, "n_fits": 2},
}
LONG = {
    name: LIKE_ONE[name] | {"options": LIKE_ONE[name]["options"] | {"max_epochs": 17}}
    for name in ("same_sequence", "groups")
}
# These end alike in all processes.
ALIKE = {
    "any_seed": {"options": {"random_state": None, "max_epochs": 2}},
    "own_encoder": {"options": {"encoder": "own", "max_epochs": 2}},
    "stop": {"options": {"callbacks": [("Stop", 1)]}},
    "parts": {"n_parts": 2, "options": FEW},
    "verbose": {"options": {"verbose": 1, "max_epochs": 2}},
    "no_progress": {"options": {"lr": 1e-9}},
    "save": {"options": {"lr": 0.05}},
    "resume": {"options": {"max_epochs": 4}, "n_fits": 2},
    "sklearn_bar": {"sklearn_bar": True, "options": {"max_epochs": 2}},
}
REFUSED = {
    "other_data": {"reversed_on": 1},
    "too_small": {"options": {"batch_size": 1}},
    "too_many_parts": {"n_parts": 11},
    "poison": {"options": {"callbacks": [("Poison", 1)]}},
}


def complete(job):
    """Return a job with everything it does not say."""
    defaults = {
        "X": X,
        "groups": None,
        "method": "fit",
        "n_fits": 1,
        "n_parts": 1,
        "reversed_on": None,
        "sklearn_bar": False,
    }
    return defaults | job | {"options": OPTIONS | job.get("options", {})}


def command(folder, jobs, engine, engine_options):
    """Write the jobs and return the command that does them."""
    jobs = {name: complete(job) for name, job in jobs.items()}
    (folder / "jobs").write_bytes(pickle.dumps((engine, engine_options, jobs)))
    return [str(SCRIPT), str(folder / "jobs"), str(folder)]


# Seconds after which a test gives up. No test waits for so long unless it fails, and a
# busy machine may need most of it.
PATIENCE = 900


def start(folder, jobs, n_ranks=2, engine="stand-in", **engine_options):
    """Start the processes."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
    arguments = command(folder, jobs, engine, engine_options)
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": str(n_ranks),
    }
    return [
        subprocess.Popen(
            [sys.executable, *arguments],
            env=environment | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(n_ranks)
    ]


def finish(processes, folder, timeout=PATIENCE):
    """Return what each process wrote, None if nothing, and printed."""
    end = time.monotonic() + timeout
    try:
        printed = [
            "".join(process.communicate(timeout=end - time.monotonic()))
            for process in processes
        ]
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    return [read(folder / str(rank)) for rank in range(len(processes))], printed


def read(path):
    return pickle.loads(path.read_bytes()) if path.exists() else None


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """All jobs done by two processes: their results and what they printed."""
    folder = tmp_path_factory.mktemp("two")
    ALIKE["save"]["options"]["callbacks"] = [("Save", str(folder))]
    ALIKE["resume"]["options"]["callbacks"] = [("Resume", str(folder / "resume"))]
    results, printed = finish(start(folder, LIKE_ONE | ALIKE | REFUSED), folder)
    assert None not in results, printed
    return folder, results, printed


def one(job):
    """Do a job in this process, without an accelerator."""
    job = complete(job)
    cpc = CPCTransformer(**job["options"])
    for _ in range(job["n_fits"]):
        getattr(cpc, job["method"])(job["X"], groups=job["groups"])
    return cpc


def assert_like_one(result, name, jobs=LIKE_ONE):
    """Compare with one process that has the combined batch."""
    alone = one(jobs[name])
    assert len(result["loss_curve"]) == alone.n_epochs_
    np.testing.assert_allclose(result["loss_curve"], alone.loss_curve_, atol=1e-5)
    np.testing.assert_allclose(
        result["validation_scores"], alone.validation_scores_, atol=1e-4
    )
    accuracy = [epoch["train_accuracy"] for epoch in alone.net_.history]
    np.testing.assert_allclose(result["accuracy"], accuracy, atol=2e-3)
    for key, weight in alone.net_.module_.state_dict().items():
        np.testing.assert_allclose(
            result["weights"][key], weight.numpy(), rtol=0, atol=1e-5, err_msg=key
        )


@pytest.mark.slow
@pytest.mark.parametrize("name", LIKE_ONE)
def test_two_processes_train_as_one_does(two, name):
    _, results, _ = two
    assert_like_one(results[0][name], name)


def test_that_is_after_50_updates():
    history = one(LIKE_ONE["batch"]).net_.history
    assert sum(epoch["train_batch_count"] for epoch in history) > 50


@pytest.mark.slow
def test_all_negatives_are_as_in_one_process_after_50_updates(tmp_path):
    jobs = LONG | {"parts": {"n_parts": 2}}
    results, printed = finish(start(tmp_path, jobs), tmp_path)
    assert None not in results, printed
    for name in LONG:
        assert_like_one(results[0][name], name, LONG)
    assert_alike(*results, "parts")


@pytest.mark.slow
@pytest.mark.parametrize("name", LIKE_ONE | ALIKE)
def test_all_processes_end_alike(two, name):
    _, (first, second), _ = two
    assert_alike(first, second, name)


def assert_alike(first, second, name):
    """Compare what two processes have of a job."""
    first, second = first[name], second[name]
    for key in ("loss_curve", "accuracy", "validation_scores"):
        assert first[key] == second[key]
    for key, weight in first["weights"].items():
        np.testing.assert_array_equal(second["weights"][key], weight)
    np.testing.assert_array_equal(second["features"], first["features"])


@pytest.mark.slow
def test_one_that_stops_stops_all(two):
    _, results, _ = two
    assert [len(result["stop"]["loss_curve"]) for result in results] == [2, 2]


@pytest.mark.slow
def test_the_first_alone_prints_warns_and_saves(two):
    folder, results, (first, second) = two
    assert "2/2" in first
    assert ("CPCTransformer - fit" in first) == HAS_BARS
    assert second == ""
    assert [result["no_progress"]["warned"] for result in results] == [True, False]
    assert [path.name for path in folder.glob("rank*")] == ["rank0"]


@pytest.mark.slow
def test_a_checkpoint_of_the_first_is_the_end_of_all(two):
    """All return to its best epoch, which is not the last one."""
    _, results, _ = two
    last = one({"options": ALIKE["save"]["options"] | {"callbacks": None}})
    weights = last.net_.module_.state_dict()
    changed = results[1]["save"]["weights"]
    assert any(abs(changed[key] - weights[key].numpy()).max() > 1e-3 for key in changed)


@pytest.mark.slow
def test_all_go_on_from_the_file_of_the_first(two):
    folder, results, _ = two
    assert (folder / "resume").exists()
    once = one({"options": {"max_epochs": 4}})
    for result in results:
        np.testing.assert_allclose(
            result["resume"]["loss_curve"], once.loss_curve_, atol=1e-5
        )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("other_data", r"X or groups differ between process 0 and the processes \[1\]"),
        ("too_small", "A batch has 1 windows, too few for 2 processes"),
        ("too_many_parts", "too few for 2 processes that go through it in 11 parts"),
        ("poison", "The loss became nan in epoch 3"),
    ],
)
def test_what_one_refuses_all_refuse(two, name, message):
    _, results, _ = two
    for result in results:
        with pytest.raises(ValueError, match=message):
            raise_again(result[name]["error"])


def raise_again(error):
    kind, message = error.split(": ", 1)
    raise {"ValueError": ValueError, "RuntimeError": RuntimeError}[kind](message)


@pytest.mark.slow
def test_three_processes_train_as_one_does(tmp_path):
    jobs = {"groups": LONG["groups"]}
    results, printed = finish(start(tmp_path, jobs, n_ranks=3), tmp_path)
    assert None not in results, printed
    assert_like_one(results[2]["groups"], "groups", LONG)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Die", "Hang"])
def test_a_process_that_does_not_answer_ends_the_others(tmp_path, name):
    """At once if it is dead, else after the timeout of the process group."""
    job = {"options": {"max_epochs": 10_000, "callbacks": [(name, 1)]}}
    # Half a minute is also what the processes have to find each other.
    group = 30 if name == "Hang" else 2 * PATIENCE
    processes = start(tmp_path, {"job": job}, timeout=group)
    with suppress(subprocess.TimeoutExpired):
        processes[0].wait(timeout=PATIENCE)
    status = processes[0].poll()
    for process in processes:
        process.kill()
    (first, second), printed = finish(processes, tmp_path)
    assert status == 1, printed
    assert second is None
    with pytest.raises(RuntimeError, match=r"Process 0 of 2 .* got no answer"):
        raise_again(first["job"]["error"])


def launch(folder, launcher, jobs, timeout=PATIENCE, **engine_options):
    """Run a launcher of processes to its end; return it and the results."""
    arguments = command(folder, jobs, "accelerate", engine_options)
    done = subprocess.run(
        [sys.executable, "-m", *launcher, *arguments],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
        timeout=timeout,
        check=False,
    )
    return done, [read(folder / str(rank)) for rank in range(2)]


TORCHRUN = ["torch.distributed.run", "--standalone", "--nproc-per-node=2"]
ACCELERATE = ["accelerate.commands.launch", "--multi_gpu", "--num_processes=2"]


@pytest.mark.slow
def test_torchrun_with_accelerate_trains_as_one_does(tmp_path):
    pytest.importorskip("accelerate", reason="needs the extra distributed")
    jobs = {"groups": LONG["groups"], "parts": {"n_parts": 2}}
    done, results = launch(tmp_path, TORCHRUN, jobs)
    assert done.returncode == 0, done.stderr
    assert_like_one(results[0]["groups"], "groups", LONG)
    assert results[0]["parts"]["loss_curve"] == results[1]["parts"]["loss_curve"]


@pytest.mark.slow
def test_accelerate_launch_in_bfloat16(tmp_path):
    pytest.importorskip("accelerate", reason="needs the extra distributed")
    jobs = {"job": {"options": {"lr": 5e-3}}}
    done, results = launch(
        tmp_path, [*ACCELERATE, "--mixed_precision=bf16"], jobs, mixed_precision="bf16"
    )
    assert done.returncode == 0, done.stderr
    first, second = (result["job"] for result in results)
    assert first["loss_curve"] == second["loss_curve"]
    assert first["loss_curve"][-1] < first["loss_curve"][0] - 0.2
    for key, weight in first["weights"].items():
        np.testing.assert_array_equal(second["weights"][key], weight)
    alone = one({"options": {"precision": "bf16"} | jobs["job"]["options"]})
    np.testing.assert_allclose(first["loss_curve"], alone.loss_curve_, atol=2e-2)
    in_float32 = one(jobs["job"]).loss_curve_
    # Rounding to float32 comes to 1e-5 at most, see above.
    difference = np.subtract(first["loss_curve"], in_float32)[:3]
    assert np.abs(difference).max() > 1e-4


@pytest.mark.slow
def test_torchrun_ends_with_a_dead_process(tmp_path):
    pytest.importorskip("accelerate", reason="needs the extra distributed")
    jobs = {"job": {"options": {"max_epochs": 10_000, "callbacks": [("Die", 1)]}}}
    done, _ = launch(tmp_path, TORCHRUN, jobs)
    assert done.returncode == 1
    assert "Signal 9" in done.stderr
