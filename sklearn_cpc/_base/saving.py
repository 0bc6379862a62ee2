"""Fitted estimators as files, pickles and copies.

Files and pickles hold the same: the weights, and everything else that belongs to a
fitted estimator, as `_persistence` writes it. A description of its parts says how to
remake the model; see `sklearn_cpc.nn.registry`.
"""

import copy
import inspect
import io
import json
import math
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted

from .._persistence import (
    ModelFileError,
    dump,
    load,
    read_file,
    word,
    write_file,
)
from ..nn import registry
from ..nn.checks import as_encoder
from ..nn.model import Model
from ..training.architecture import Architecture
from ..training.checked_state import check_weights
from ..training.fitted import net_attributes
from ..training.net import make_net
from ..training.runtime import autocast_type, available_device, own_settings
from ..training.state import check_state, net_state, restore
from .checking import check_attributes, check_kinds, remade_loss
from .hooks import Hooks

# Parameters that belong to a process, not to a model. A file with a `start` would make
# a later fit read what the file names.
NOT_SAVED = {"callbacks", "accelerator", "start"}
# Values of a sample that a model is tried with.
LARGEST_TRIAL = 2**20
# The parts of a model file. "own" names the user's own objects, which no file holds.
CONTENT = {
    "class": str,
    "parameters": dict,
    "own": dict,
    "architecture": dict,
    "fitted": dict,
}


class SavingMixin(Hooks):
    """`save` and `load`, and the content of pickles and copies, for `BaseCPC`."""

    # Fitted attributes that do not follow from the net, and their types: plain types, a
    # tuple of classes with `__getstate__` and `__setstate__`, or `X | None` for an
    # attribute that may be missing.
    _fitted_types: ClassVar[dict[str, Any]] = {
        "n_channels_in_": int,
        "n_features_in_": int | None,
        "feature_names_in_": np.ndarray | None,
        "_sklearn_output_config": dict | None,
        "_rng": np.random.Generator,
        "_references": torch.Tensor,
        "_partially_fitted": bool,
        "crop_length_": int | None,
        "max_epochs_": int | None,
    }
    _partially_fitted: bool
    crop_length_: int | None
    card_: dict[str, Any]

    def save(self, path: Any, *, card: dict[str, Any] | None = None) -> None:
        """Write the fitted estimator to a safetensors file, which holds no code.

        The file is written completely or not at all: a full disk or a kill leaves the
        previous one as it was. It does not hold `callbacks`, `accelerator`, or the code
        of your own modules, only their weights. With ``warm_start=True``, or after
        `partial_fit`, it also holds the state of the optimizer, twice the size of the
        weights, so that training continues exactly.

        Parameters
        ----------
        path : str or path-like
            The file; its name usually ends with ``.safetensors``.
        card : dict, default=None
            What others should know of the model, such as its data and their licences:
            text, numbers, lists and dictionaries by name. `load` returns it as
            ``card_``. None keeps the card of a model that was loaded and not trained
            since.

        Raises
        ------
        TypeError
            If the model has a part that `load` could not rebuild, or the card another
            kind of value.
        OSError
            If the file cannot be written.
        """
        check_is_fitted(self)
        self._validate_params()
        card = getattr(self, "card_", None) if card is None else card
        if card is not None and not is_card(card):
            raise TypeError(
                f"card={card!r:.100} must be a dict of text, numbers, lists and dicts, "
                "with text as names."
            )
        of_start = getattr(self, "_start_parameters", {})
        parameters, own = plain_values(
            {
                n: str(value) if isinstance(value, torch.device) else value
                for n, value in (self.get_params(deep=False) | of_start).items()
                if n not in NOT_SAVED
            }
        )
        fitted_parameters, own_parts = plain_values(self._fitted_parameters)
        fitted = self._fitted_content()
        own |= own_parts
        values = (type(self).__name__, parameters, own, fitted_parameters, fitted)
        content = dict(zip(CONTENT, values, strict=True))
        content |= {} if card is None else {"card": card}
        write_file(path, dump(content, "model", self._classes()))

    @classmethod
    @own_settings(None)  # what is read within an inference mode could not be trained
    def load(cls, path: Any, **parameters: Any) -> Self:
        """Read a fitted estimator from a file that `save` has written.

        Nothing in the file is executed, and everything is checked before it is used.

        Parameters
        ----------
        path : str or path-like
            The file.
        **parameters : dict
            Parameters that replace the saved ones, such as ``device="cpu"``, except
            what the model is made of, such as `latent_size`. Your own modules must be
            among them, with any weights.

        Returns
        -------
        object
            The fitted estimator. Its features are equal bit by bit on the same kind
            of device. If the device does not exist, the CPU takes its place, with a
            warning. It has the attribute ``card_`` if the file has a card.

        Raises
        ------
        ModelFileError
            A ValueError: the file is damaged, of another kind or class, or from a
            newer release.
        ValueError
            If one of your own modules is missing or does not suit the weights, or a
            parameter cannot be replaced.
        OSError
            If the file cannot be read.
        """
        content = read_file(path, "model", cls._classes())
        name = f"{str(path)!r}"
        for part, kind in CONTENT.items():
            if not isinstance(content.get(part), kind):
                raise ModelFileError(f"{name} does not say its {part}.")
        saved_by, saved, own, fitted_parameters, fitted = (content[p] for p in CONTENT)
        if "card" in content and not is_card(content["card"]):
            raise ModelFileError(f"{name} has a card with other values than text.")
        if saved_by != cls.__name__:
            other = word(saved_by)
            raise ModelFileError(f"{name} was saved by {other}: use {other}.load.")
        names = set(cls._get_param_names()) - NOT_SAVED
        unknown = {*saved, *own} - names
        unknown |= fitted_parameters.keys() - set(cls._architecture_parameters)
        if unknown:
            raise ModelFileError(
                f"{name} has parameters that this release does not know: "
                f"{', '.join(map(word, sorted(unknown)))}. Update sklearn_cpc."
            )
        cls._check_passed(name, parameters, own, saved | fitted_parameters)
        estimator = cls()
        try:
            for values in (fitted_parameters, saved):
                estimator.set_params(**{n: values[n] for n in values if n in names})
                estimator._validate_params()
        except Exception as error:  # a hostile file may raise anything
            raise ModelFileError(f"{name} holds no usable model: {error}") from error
        estimator.set_params(**parameters)
        estimator._validate_params()
        estimator._fitted_parameters = fitted_parameters | {
            n: parameters[n] for n in own
        }
        try:
            estimator._restore(fitted)
        except Exception as error:  # likewise
            if own:
                raise ValueError(
                    f"{' and '.join(own)} must be as in the fit that {name} is from: "
                    f"{error}"
                ) from error
            raise ModelFileError(f"{name} holds no usable model: {error}.") from error
        if "card" in content:
            estimator.card_ = content["card"]
        return estimator

    @classmethod
    def _check_passed(
        cls,
        name: str,
        parameters: dict[str, Any],
        own: dict[str, str],
        saved: dict[str, Any],
    ) -> None:
        """Ask for the user's own parts; refuse others for what the model is made of."""
        if not all(isinstance(k, str) and k.isidentifier() for k in own.values()):
            raise ModelFileError(f"{name} does not say its own.")
        if missing := {n: kind for n, kind in own.items() if n not in parameters}:
            what = " and ".join(f"{n} ({kind})" for n, kind in missing.items())
            call = ", ".join(f"{n}=..." for n in missing)
            raise ValueError(
                f"{name} was saved with your own {what}; no file holds their code. "
                f"Pass it again: {cls.__name__}.load(path, {call})."
            )
        for made_of in {*cls._architecture_parameters, *cls._kept_parameters} - {*own}:
            if made_of in parameters and made_of in saved:
                passed, known = parameters[made_of], saved[made_of]
                if passed is not known and passed != known:
                    raise ValueError(
                        f"{made_of}={passed!r} cannot replace {known!r}, which the "
                        f"model in {name} was built with. Fit a new one."
                    )

    # ---- pickles and copies

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__().copy()
        if "net_" in state:
            derived = net_attributes(self.net_, self._architecture)
            for name in (*self._fitted_types, *derived):
                state.pop(name, None)
            content = self._fitted_content()
            state["_fitted"] = dump(content, "fitted estimator", self._classes())
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = state.copy()
        for name in state:
            if callable(getattr(type(self), name, None)):
                raise ValueError(f"{name} is a method, which no pickle replaces.")
        for name, parameter in inspect.signature(type(self)).parameters.items():
            state.setdefault(name, parameter.default)  # earlier releases had fewer
        fitted = state.pop("_fitted", None)
        if isinstance(state.get("_architecture"), dict):  # its name in earlier releases
            state["_fitted_parameters"] = state.pop("_architecture")
        super().__setstate__(state)
        if fitted is not None:
            with own_settings(None):
                file = io.BytesIO(fitted)
                self._restore(load(file, "fitted estimator", self._classes()))

    def __copy__(self) -> Self:
        new = object.__new__(type(self))
        new.__dict__.update(vars(self))
        return new

    @own_settings(None)
    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Copy everything, also the state of the optimizer."""
        memo[id(self)] = new = object.__new__(type(self))
        new.__dict__.update(copy.deepcopy(vars(self), memo))
        return new

    # ---- the parts of a fitted estimator

    @classmethod
    def _classes(cls) -> list[type]:
        several = [t for t in cls._fitted_types.values() if isinstance(t, tuple)]
        return [kind for kinds in several for kind in kinds]

    def _own_modules(self) -> dict[str, torch.nn.Module]:
        """Return the user's modules; the model has copies of them."""
        parts = self._fitted_parameters.items()
        return {n: part for n, part in parts if isinstance(part, torch.nn.Module)}

    def _fitted_content(self) -> dict[str, Any]:
        """Return the fitted attributes as `_restore` needs them."""
        net, own = self.net_, self._own_modules()
        loss = net.criterion_
        options = set(inspect.signature(type(loss)).parameters) - {"generator"}
        return {
            "model": {
                "class": type(net.module_).__name__,
                "parts": {
                    role: registry.describe(part, role, own)
                    for role, part in net.module_.named_children()
                },
            },
            "loss": (
                type(loss).__name__,
                {n: getattr(loss, n) for n in sorted(options)},
            ),
            "net": net_state(net, optimizer=self.warm_start or self._partially_fitted),
            "attributes": {
                n: v for n, v in vars(self).items() if n in self._fitted_types
            },
        }

    def _restore(self, content: Any) -> None:
        """Restore the fitted attributes from `_fitted_content`, and try the model."""
        parts = {"model", "loss", "net", "attributes"}
        if not isinstance(content, dict) or content.keys() != parts:
            raise ValueError("it lacks parts of a fitted estimator, or has others")
        attributes = content["attributes"]
        check_kinds(attributes, self._fitted_types)
        with own_settings(self.n_jobs):
            weights = content["net"]["weights"]
            model = self._remade_model(
                content["model"], attributes["n_channels_in_"], len(weights)
            )
            check_weights(weights, model)
            check_attributes(attributes, model)
            self._check_restored(attributes, model)
            model.load_state_dict(weights, assign=True)
            loss = remade_loss(content["loss"])
            net = make_net(
                model,
                loss,
                device=available_device(str(self.device)),
                lr=self.lr,
                autocast=autocast_type(self.precision),
            )
            check_state(net, content["net"])
            restore(net, content["net"])
            # Files of the first format lack the two.
            added = {"crop_length_": None, "max_epochs_": len(net.history)}
            attributes = added | attributes
            architecture = Architecture.of(
                model, loss.skip_steps, attributes["crop_length_"]
            )
            self.__dict__.update(attributes, **net_attributes(net, architecture))
            self._try_model()

    def _remade_model(
        self, described: dict[str, Any], n_channels: int, n_weights: int
    ) -> Model:
        """Make the model from its description, without memory for its weights."""
        own = self._own_modules()
        make_model: Any = registry.find(described["class"])
        if not issubclass(make_model, Model):
            raise ValueError(f"{described['class']} is not a model")
        parts = {
            role: registry.remake(part, own, n_weights)
            for role, part in described["parts"].items()
        }
        if parts.get("encoder") is not None and "encoder" in own:
            # The first format does not say how far an own module downsamples.
            n_steps = min(1024, LARGEST_TRIAL // max(n_channels, 1))
            if n_steps < 2:
                raise ValueError(f"nothing tells that there are {n_channels} channels")
            parts["encoder"] = as_encoder(parts["encoder"], n_channels, n_steps)
        model: Model = make_model(**parts)
        return model

    @torch.inference_mode()
    def _try_model(self) -> None:
        """Run the model on a sample of one step, unless that sample is large."""
        self._statistics()
        shape = self._single_step()
        if math.prod(shape) <= LARGEST_TRIAL:
            x = torch.zeros(1, *shape, device=self.device_)
            self._pooled_features().named(x, torch.ones(1, device=x.device))


def is_card(value: object) -> bool:
    """Whether a value is a dictionary of nothing but JSON."""
    try:
        # Equal after a round trip: tuples, numbers of numpy and other keys are not.
        return isinstance(value, dict) and json.loads(json.dumps(value)) == value
    except (TypeError, ValueError, RecursionError):
        return False


def plain_values(values: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the values that a file can hold, and the types of the others."""
    plain, other = {}, {}
    for name, value in values.items():
        parts = value if isinstance(value, tuple) else ()
        single = all(isinstance(part, str | int | float | None) for part in parts)
        try:
            # Vectors of tokens: the model has a copy of them.
            if isinstance(value, Mapping) or not single:
                raise TypeError
            dump({name: value}, "value")
            plain[name] = value
        except TypeError:
            other[name] = type(value).__name__
    return plain, other
