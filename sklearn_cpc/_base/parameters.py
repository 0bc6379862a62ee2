"""The parameters that all CPC estimators share: signature, values, description.

To add one: write it here, in `SHARED` and in `SharedParameters.__init__`, and run
``python .ci/write_signatures.py``, which writes it into the signatures of the
estimators. Their docstrings and constraints follow by themselves.
"""

from collections.abc import Collection, Iterable
from numbers import Integral, Real
from os import PathLike
from typing import Any, ClassVar, NamedTuple

from sklearn.base import BaseEstimator
from torch import device
from torch.nn import Module

from .._compat import HasMethods, Interval, StrOptions
from ..nn.contexts import CONTEXTS
from ..nn.features import FEATURES
from ..nn.negatives import NEGATIVES
from ..nn.pooling import POOLINGS


class Parameter(NamedTuple):
    """What a shared parameter may be.

    Attributes
    ----------
    kind : str
        Its type, for the docstring.
    constraint : list
        Its values, for scikit-learn's validation.
    description : str
        Words in braces are filled in for each estimator; see `Words`.
    """

    kind: str
    constraint: list[Any]
    description: str


class Words(NamedTuple):
    """Words that differ between estimators, for docstrings.

    Attributes
    ----------
    sample : str
        The name of a sample; with an "s", of several.
    targets : str
        The name of the predicted latents.
    kept : str
        What a warm start keeps besides the model.
    """

    sample: str = "sequence"
    targets: str = "latents"
    kept: str = "scaling"


AT_LEAST_1 = Interval(Integral, 1, None, closed="left")
AT_LEAST_0 = Interval(Integral, 0, None, closed="left")
# For estimators with samples that may be longer than a training window.
CROP_LENGTH = [StrOptions({"auto"}), Interval(Integral, 2, None, closed="left"), None]

SHARED: dict[str, Parameter] = {
    "context": Parameter(
        "str or torch.nn.Module",
        [StrOptions(set(CONTEXTS)), Module],
        """Network that turns latents into contexts: "gru", as in the paper; "lstm",
        faster on a CPU; "conv", dilated causal convolutions; "attention", causal
        self-attention to the last 128 latents. A module must map (B, T, D) to
        (B, T, H) and depend on the past only; `fit` uses a copy of it.""",
    ),
    "latent_size": Parameter(
        "int",
        [AT_LEAST_1],
        "Size of the latents and of the encoder's layers.",
    ),
    "context_size": Parameter("int", [AT_LEAST_1], "Size of the contexts."),
    "prediction_steps": Parameter(
        'int or "auto"',
        [StrOptions({"auto"}), AT_LEAST_1],
        """Number of {targets} ahead to predict. "auto" is {auto.prediction_steps}, or
        fewer if {sample}s are short.""",
    ),
    "skip_steps": Parameter(
        'int or "auto"',
        [StrOptions({"auto"}), AT_LEAST_0],
        """Number of {targets} to skip between the context and the first prediction.
        "auto" is {auto.skip_steps}, or fewer if {sample}s are short.""",
    ),
    "n_negatives": Parameter(
        'int or "all"',
        [StrOptions({"all"}), AT_LEAST_1],
        """Number of negatives for each positive; fewer if a batch has fewer positions.
        "all" takes every position that qualifies.""",
    ),
    "negatives": Parameter(
        "str",
        [StrOptions({"auto", *NEGATIVES})],
        """Where negatives come from: "batch", any other position of the batch;
        "other_sequences", other {sample}s; "same_sequence", the same {sample};
        "same_group", any other position in {sample}s of the same group, as passed to
        `fit`; "same_group_other_sequences", other {sample}s of the same group. The
        model does not learn what the negatives have in common with the positive. "auto"
        is "same_group" if `fit` gets groups, else {auto.negatives_within!r} if most
        {sample}s give two or more training windows, else "batch".""",
    ),
    "n_anchors": Parameter(
        'int, "auto" or "all"',
        [StrOptions({"auto", "all"}), AT_LEAST_1],
        """Number of positions in each batch that predict, evenly spaced. "auto" is 16
        times `batch_size`; "all" takes all of them, at a higher cost.""",
    ),
    "temperature": Parameter(
        "float",
        [Interval(Real, 0, None, closed="neither")],
        """Divides the cosine similarities before the softmax. A lower value gives more
        weight to the negatives that are most similar to the positive.""",
    ),
    "features": Parameter(
        '{"auto", "context", "latent", "both", "all"}',
        [StrOptions(set(FEATURES))],
        """Activations that become features. "both" is latents and contexts; "all" adds
        every layer of the encoder. "auto" takes the contexts and the layers that the
        encoder recommends.""",
    ),
    "pooling": Parameter(
        "str or tuple of str",
        [StrOptions({"auto", *POOLINGS}), tuple, list],
        """How the activations at all steps become one vector: one or several of "mean",
        "max", "min", "std", "ppv" (the proportion of positive values), "last" and
        "direction" (the mean, divided by its length). "auto" is "max", "std" and "ppv",
        and for contexts also "mean" and "min". "sif", for texts only, is the direction
        of a mean in which rare tokens count more, without the first component of the
        mean vectors of all texts.""",
    ),
    "max_epochs": Parameter(
        'int or "auto"',
        [StrOptions({"auto"}), AT_LEAST_0],
        """Passes over the training set. "auto" gives about {auto.updates} updates
        ({auto.updates_within} if negatives come from the group or the {sample}), in at
        most 100 epochs. Tiny sets get fewer. Larger sets get {auto.epochs} epochs, or
        fewer if these would have more than {auto.most_updates} updates. 0 gives the
        untrained model, the control of an experiment.""",
    ),
    "batch_size": Parameter(
        "int",
        [AT_LEAST_1],
        """Number of {sample}s, or windows of them, in one update; with an accelerator,
        over all its processes.""",
    ),
    "lr": Parameter(
        "float",
        [Interval(Real, 0, None, closed="neither")],
        """Learning rate of AdamW. It rises over the first 20 updates; a schedule among
        the `callbacks`, such as ``skorch.callbacks.LRScheduler``, may change it.""",
    ),
    "weight_decay": Parameter(
        "float",
        [Interval(Real, 0, None, closed="left")],
        "Weight decay of AdamW.",
    ),
    "validation_fraction": Parameter(
        "float",
        [Interval(Real, 0, 1, closed="neither")],
        """Fraction of the {sample}s, or of the groups, held out for validation. Used
        only with `early_stopping`.""",
    ),
    "early_stopping": Parameter(
        "bool",
        ["boolean"],
        """Whether to stop if the score on the validation part no longer rises, and to
        return to the best weights.""",
    ),
    "n_iter_no_change": Parameter(
        "int", [AT_LEAST_1], "Epochs without a better score before stopping."
    ),
    "callbacks": Parameter(
        "list of skorch callbacks or None",
        [list, tuple, None],
        "Called during training, such as `sklearn_cpc.Checkpoint`.",
    ),
    "accelerator": Parameter(
        "accelerate.Accelerator or None",
        [HasMethods(["autocast", "backward"]), None],
        """Controls device and precision. With several processes, started by
        ``torchrun`` or ``accelerate launch``, each trains on a part of every batch, and
        all end with the same weights, which equal the weights of one process except for
        rounding. With gradient accumulation, a process computes its part in several
        steps, each with its own negatives.""",
    ),
    "device": Parameter(
        "str or torch.device",
        [str, device],
        '"auto" takes CUDA, else MPS, else the CPU; or pass any torch device.',
    ),
    "precision": Parameter(
        '{"float32", "bf16"}',
        [StrOptions({"float32", "bf16"})],
        "Precision of the forward pass. The loss is always computed in float32.",
    ),
    "n_jobs": Parameter(
        "int or None",
        [Integral, None],
        """Number of torch threads during training and transforming, at most 8 or the
        number of cores. -1 is all cores; None keeps torch's own number. The previous
        number is restored afterwards.""",
    ),
    "warm_start": Parameter(
        "bool",
        ["boolean"],
        """Whether `fit` continues training the fitted model for `max_epochs` more
        epochs. The {kept} stays the same. Without `early_stopping`, the result equals
        that of a longer fit. Pickles and files then also contain the state of the
        optimizer.""",
    ),
    "start": Parameter(
        "str, path-like or None",
        [str, PathLike, None],
        """The model from which `fit` starts, instead of random weights: "speech", which
        comes with the package, for `CPCTransformer`; the path of a file that `save` has
        written; or "user/name", a repository of the Hugging Face Hub. The {kept} and
        the architecture come from the file: leave such parameters at their defaults, or
        set them as in the file. With ``max_epochs=0``, `fit` takes the
        model as it is. See `from_pretrained`.""",
    ),
    "random_state": Parameter(
        "int, RandomState instance or None",
        ["random_state"],
        """Determines the initial weights and all random choices of training: batches,
        windows, negatives, augmentation, the validation part. With an int, results are
        equal bit by bit on the same device with the same number of threads. Global
        generators are not used.""",
    ),
    "verbose": Parameter(
        "int",
        ["verbose"],
        """1 shows a progress bar over epochs, with loss and contrastive accuracy, and
        one over time steps if features or scores take more than a second.""",
    ),
}

# Fitted attributes that all estimators have: type and description.
ATTRIBUTES: dict[str, tuple[str, str]] = {
    "net_": ("skorch.NeuralNet", "The trained net; ``net_.module_`` is the model."),
    "prediction_steps_": ("int", "Number of {targets} ahead that the model predicts."),
    "skip_steps_": (
        "int",
        "Number of {targets} between the context and the first target.",
    ),
    "negatives_": ("str", "Where negatives came from in the last fit."),
    "crop_length_": (
        "int or None",
        """Steps of the longest training window. None after loading a file of the first
        format, which does not contain it.""",
    ),
    "max_epochs_": (
        "int",
        "Epochs of the last fit, unless it was stopped early.",
    ),
    "n_epochs_": ("int", "Number of epochs of training."),
    "loss_curve_": ("list of float", "InfoNCE of each epoch, in nats."),
    "validation_scores_": (
        "list of float",
        "Score on the validation part after each epoch, with `early_stopping`.",
    ),
    "downsampling_": ("int", "Number of input steps for each latent."),
    "receptive_field_": (
        "int or None",
        "Number of input steps that a latent depends on; None if it is unknown.",
    ),
    "device_": ("str", "The device of the model."),
}


class SharedParameters(BaseEstimator):
    """Stores the shared parameters; see `SHARED`."""

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        name: parameter.constraint for name, parameter in SHARED.items()
    }

    def __init__(
        self,
        *,
        context="lstm",
        latent_size=128,
        context_size=128,
        prediction_steps="auto",
        skip_steps="auto",
        n_negatives=128,
        negatives="auto",
        n_anchors="auto",
        temperature=0.1,
        features="auto",
        pooling="auto",
        max_epochs="auto",
        batch_size=32,
        lr=5e-4,
        weight_decay=0.01,
        validation_fraction=0.1,
        early_stopping=False,
        n_iter_no_change=10,
        callbacks=None,
        accelerator=None,
        device="auto",
        precision="float32",
        n_jobs=None,
        warm_start=False,
        start=None,
        random_state=None,
        verbose=0,
    ):
        self.context = context
        self.latent_size = latent_size
        self.context_size = context_size
        self.prediction_steps = prediction_steps
        self.skip_steps = skip_steps
        self.n_negatives = n_negatives
        self.negatives = negatives
        self.n_anchors = n_anchors
        self.temperature = temperature
        self.features = features
        self.pooling = pooling
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.lr = lr
        self.weight_decay = weight_decay
        self.validation_fraction = validation_fraction
        self.early_stopping = early_stopping
        self.n_iter_no_change = n_iter_no_change
        self.callbacks = callbacks
        self.accelerator = accelerator
        self.device = device
        self.precision = precision
        self.n_jobs = n_jobs
        self.warm_start = warm_start
        self.start = start
        self.random_state = random_state
        self.verbose = verbose


def names(
    parameter: str, value: str | Iterable[str], options: Collection[str]
) -> tuple[str, ...]:
    """Return the names in `value`, one or several different ones of `options`.

    Parameters
    ----------
    parameter : str
        Named in the message.
    value : str or iterable of str
        What the user chose.
    options : collection of str
        What there is.

    Returns
    -------
    tuple of str

    Raises
    ------
    ValueError
        If there are none, or one twice, or unknown ones.
    """
    chosen = (value,) if isinstance(value, str) else tuple(value)
    if (
        not chosen
        or not all(isinstance(name, str) and name in options for name in chosen)
        or len(set(chosen)) < len(chosen)
    ):
        raise ValueError(
            f"{parameter}={value!r} must be one or several different ones of "
            f"{', '.join(map(repr, options))}."
        )
    return chosen
