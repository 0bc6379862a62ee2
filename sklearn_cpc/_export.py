"""Fitted estimators as ONNX files, which run without Python and without torch."""

import copy
import io
import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from ._data.scaled import LIMIT
from ._data.scaling import SampleScaling, Scaling
from ._data.sequences import Sequences
from ._persistence import write_file
from .nn.encoders import class_name
from .nn.export import FixedStatistics, SampleStatistics, Scale, SequenceGraph
from .nn.features import PooledFeatures, StepFeatures
from .training.net import CPCNet
from .training.runtime import own_settings

OPSET = 17
# Samples and latents to trace with. With more latents than any context sees, the graph
# has the operations that long sequences need.
EXAMPLE = 2, 300
# Samples and latents to try the graph with, and the tolerance.
TRIALS = (1, 1), (3, 7), (2, 517)
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Graph:
    """A module to export, with its inputs and outputs.

    Attributes
    ----------
    module : torch.nn.Module
        From raw values to features.
    example : callable
        ``(n_samples, n_latents) -> inputs``.
    inputs, outputs : dict
        From names to the names of the axes with a free size.
    """

    module: torch.nn.Module
    example: Callable[[int, int], tuple[torch.Tensor, ...]]
    inputs: dict[str, dict[int, str]]
    outputs: dict[str, dict[int, str]]


class ExportableEstimator(Protocol):
    """What an export uses of a fitted `CPCTransformer`."""

    net_: CPCNet
    _scaling: Scaling
    n_channels_in_: int
    downsampling_: int

    def _pooled_features(self) -> PooledFeatures:
        """Return the module that `transform` runs."""

    def _step_features(self) -> StepFeatures:
        """Return the module that `transform_steps` runs."""

    def get_feature_names_out(self) -> np.ndarray:
        """Return the names of the columns of `transform`."""

    def _step_feature_names(self) -> np.ndarray:
        """Return the names of the columns of `transform_steps`."""


@own_settings(None)
def write_onnx(cpc: ExportableEstimator, path: Any) -> None:
    """Export a `CPCTransformer`; see `CPCTransformer.export_onnx`."""
    onnx, onnxruntime = _import_onnx()
    graph = sequence_graph(cpc)
    parts = " and ".join(
        f"{role}={class_name(getattr(cpc.net_.module_, role))}"
        for role in ("encoder", "context")
    )
    try:
        model = onnx.load_model_from_string(_trace(graph))
    except Exception as error:  # torch raises many kinds
        raise ValueError(
            f"{parts} cannot be exported to ONNX: {_first_line(error)}"
        ) from error
    for name, value in {
        "feature_names": cpc.get_feature_names_out().tolist(),
        "step_feature_names": cpc._step_feature_names().tolist(),
        "downsampling": cpc.downsampling_,
    }.items():
        model.metadata_props.add(key=name, value=json.dumps(value))
    data = model.SerializeToString()
    if fault := _fault(graph, data, onnxruntime):
        raise ValueError(
            f"{parts} cannot be exported to ONNX: {fault}. A graph records what a "
            "module does with one example. Sizes that it reads as Python numbers "
            "(len(x), int(...), if ...) stay fixed."
        )
    write_file(path, data)


def sequence_graph(cpc: ExportableEstimator) -> Graph:
    """Return the graph of a `CPCTransformer`."""
    # Together, so that both have the same copy of the model.
    pooled, steps = copy.deepcopy((cpc._pooled_features(), cpc._step_features()))
    scale, draw = _scale(cpc)

    def example(n_samples: int, n_latents: int) -> tuple[torch.Tensor, ...]:
        n_timesteps = (n_latents - 1) * cpc.downsampling_ + 1
        shortest = -(-n_timesteps // 2)
        lengths = torch.linspace(n_timesteps, shortest, n_samples).long()
        return draw(n_samples, n_timesteps), lengths

    return Graph(
        SequenceGraph(scale, pooled, steps).cpu().eval(),
        example,
        {
            "values": {0: "n_samples", 1: "n_timesteps"},
            "lengths": {0: "n_samples"},
        },
        {
            "features": {0: "n_samples"},
            "steps": {0: "n_samples", 1: "n_steps"},
            "step_lengths": {0: "n_samples"},
        },
    )


def _scale(
    cpc: ExportableEstimator,
) -> tuple[Scale, Callable[[int, int], torch.Tensor]]:
    """Return the scaling as a module, and a function that draws suitable values."""
    nothing = Sequences(np.zeros((1, 1, cpc.n_channels_in_)), np.array([1]), "array")
    mean, scale = (
        torch.from_numpy(moment[0, 0].copy())
        for moment in cpc._scaling.statistics(nothing)
    )
    by_sample = isinstance(cpc._scaling, SampleScaling)
    statistics = SampleStatistics() if by_sample else FixedStatistics(mean, scale)
    generator = torch.Generator().manual_seed(0)

    def draw(n_samples: int, n_steps: int) -> torch.Tensor:
        noise = torch.randn(n_samples, n_steps, len(mean), generator=generator)
        return (noise * scale + mean).float()

    return Scale(statistics, LIMIT), draw


def _trace(graph: Graph) -> bytes:
    """Return the graph as ONNX."""
    file: Any = io.BytesIO()
    with warnings.catch_warnings():
        # torch warns that this exporter is old; the new one fixes the number of steps
        # of recurrent networks. It also warns that traces may not hold for other sizes;
        # `_fault` tries them.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            graph.module,
            graph.example(*EXAMPLE),
            file,
            dynamo=False,
            opset_version=OPSET,
            input_names=list(graph.inputs),
            output_names=list(graph.outputs),
            dynamic_axes=graph.inputs | graph.outputs,
        )
    data: bytes = file.getvalue()
    return data


def _fault(graph: Graph, data: bytes, onnxruntime: Any) -> str | None:
    """Run the graph with several sizes; return where it differs from the model."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # the exception has the message
    options.intra_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(
            data, options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:
        return f"onnxruntime does not take the graph ({_first_line(error)})"
    for n_samples, n_latents in TRIALS:
        inputs = graph.example(n_samples, n_latents)
        with torch.no_grad():
            expected = graph.module(*inputs)
        arrays = (x.numpy() for x in inputs)
        size = f"{n_samples} samples of shape {tuple(inputs[0].shape[1:])}"
        try:
            outputs = session.run(None, dict(zip(graph.inputs, arrays, strict=True)))
        except Exception as error:
            return f"onnxruntime fails on {size} ({_first_line(error)})"
        for name, output, wanted in zip(graph.outputs, outputs, expected, strict=True):
            allowed = TOLERANCE * max(1.0, float(wanted.abs().max()))
            if output.shape != wanted.shape or not np.allclose(
                output, wanted.numpy(), rtol=0, atol=allowed
            ):
                return f"for {size}, onnxruntime gives other {name}"
    return None


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200]


def _import_onnx() -> tuple[Any, Any]:
    """Import the libraries, or say how to get them."""
    try:
        import onnx
        import onnxruntime
    except ImportError:
        raise ImportError(
            "export_onnx needs the packages onnx and onnxruntime: "
            'pip install "sklearn-cpc[onnx]".'
        ) from None
    return onnx, onnxruntime
