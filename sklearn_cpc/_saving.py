"""Fitted estimators as files, pickles and copies.

Files and pickles hold the same: the weights and what else makes a fitted estimator, as
`_persistence` writes it. The model is made again from the classes of its parts and
their arguments.
"""

import copy
import inspect
import io
from typing import Any, ClassVar, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from ._fitting import make_net, net_attributes
from ._persistence import ModelFileError, dump, load, read_file, write_file
from ._recipes import public, recipe, remake
from ._runtime import available_device
from .training.state import net_state, restore

# Parameters that belong to a process, not to a model.
NOT_SAVED = {"callbacks", "accelerator"}
# What a file of a model holds; "own" names what it does not: the user's own objects.
CONTENT = {
    "class": str,
    "parameters": dict,
    "own": dict,
    "architecture": dict,
    "fitted": dict,
}


class Saving(BaseEstimator):
    """`save`, `load`, and what pickle and copy do, for `BaseCPC`."""

    # The fitted attributes that do not follow from the net, and their types: plain
    # ones, a tuple of classes with `__getstate__` and `__setstate__`, or `X | None`
    # where it may be missing.
    _fitted_types: ClassVar[dict[str, Any]] = {
        "n_channels_in_": int,
        "n_features_in_": int | None,
        "feature_names_in_": np.ndarray | None,
        "_sklearn_output_config": dict | None,
        "_rng": np.random.Generator,
        "_references": torch.Tensor,
        "_partially_fitted": bool,
    }

    def save(self, path: Any) -> None:
        """Write the fitted estimator to a safetensors file, which holds no code.

        The file is there as a whole or not at all: a full disk or a kill leaves the
        previous one as it was. `callbacks` and `accelerator` are not saved, and of
        modules of your own only the weights. With ``warm_start=True``, or after
        `partial_fit`, the state of the optimizer is saved too, twice the weights:
        training goes on exactly as it would have.

        Parameters
        ----------
        path : str or path-like
            Where to; by custom it ends with ``.safetensors``.

        Raises
        ------
        OSError
            If the file cannot be written.
        """
        check_is_fitted(self)
        self._validate_params()
        parameters, own = _plain(
            {n: v for n, v in self.get_params(deep=False).items() if n not in NOT_SAVED}
        )
        architecture, own_parts = _plain(self._architecture)
        fitted = self._fitted_content()
        own |= own_parts
        values = (type(self).__name__, parameters, own, architecture, fitted)
        content = dict(zip(CONTENT, values, strict=True))
        write_file(path, dump(content, "model", self._classes()))

    @classmethod
    def load(cls, path: Any, **parameters: Any) -> Self:
        """Read a fitted estimator from a file that `save` has written.

        Nothing in the file is executed, and all of it is checked before anything is
        made of it.

        Parameters
        ----------
        path : str or path-like
            The file.
        **parameters : dict
            Parameters instead of the saved ones, such as ``device="cpu"``. Modules
            of your own must be among them, with any weights.

        Returns
        -------
        object
            The fitted estimator. Its features are equal bit by bit on the same kind
            of device. A device that is not there is replaced by the CPU, with a
            warning.

        Raises
        ------
        ModelFileError
            A ValueError: the file is damaged, of another kind or class, or from a
            newer release.
        ValueError
            If a module of your own is missing or does not suit the weights.
        OSError
            If the file cannot be read.
        """
        content = read_file(path, "model", cls._classes())
        name = f"{str(path)!r}"
        for part, kind in CONTENT.items():
            if not isinstance(content.get(part), kind):
                raise ModelFileError(f"{name} does not say its {part}.")
        saved_by, saved, own, architecture, fitted = (content[p] for p in CONTENT)
        if saved_by != cls.__name__:
            raise ModelFileError(
                f"{name} was saved by {saved_by}: use {saved_by}.load."
            )
        unknown = {*saved, *own} - set(cls._get_param_names())
        if unknown:
            raise ModelFileError(
                f"{name} has parameters that this release does not know: "
                f"{', '.join(sorted(unknown))}. Update sklearn_cpc."
            )
        if missing := {n: kind for n, kind in own.items() if n not in parameters}:
            what = " and ".join(f"{n} ({kind})" for n, kind in missing.items())
            call = ", ".join(f"{n}=..." for n in missing)
            raise ValueError(
                f"{name} was saved with your own {what}, whose code no file holds. "
                f"Pass it again: {cls.__name__}.load(path, {call})."
            )
        estimator: Any = cls().set_params(**saved | parameters)
        estimator._validate_params()
        estimator._architecture = architecture | {n: parameters[n] for n in own}
        try:
            estimator._restore(fitted)
            estimator.get_feature_names_out()  # runs the model
        except Exception as error:  # whatever a hostile file makes of this
            if own:
                raise ValueError(
                    f"{' and '.join(own)} must be as in the fit that {name} is from: "
                    f"{error}"
                ) from error
            raise ModelFileError(f"{name} holds no usable model: {error}.") from error
        return estimator

    # ---- pickles and copies

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__().copy()
        if "net_" in state:
            for name in (*self._fitted_types, *net_attributes(state["net_"])):
                state.pop(name, None)
            content = self._fitted_content()
            state["_fitted"] = dump(content, "fitted estimator", self._classes())
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = state.copy()
        fitted = state.pop("_fitted", None)
        super().__setstate__(state)
        if fitted is not None:
            file = io.BytesIO(fitted)
            self._restore(load(file, "fitted estimator", self._classes()))

    def __copy__(self) -> Self:
        new = object.__new__(type(self))
        new.__dict__.update(vars(self))
        return new

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Copy all, also the state of the optimizer."""
        memo[id(self)] = new = object.__new__(type(self))
        new.__dict__.update(copy.deepcopy(vars(self), memo))
        return new

    # ---- what a fitted estimator consists of

    @classmethod
    def _classes(cls) -> list[type]:
        several = [t for t in cls._fitted_types.values() if isinstance(t, tuple)]
        return [kind for kinds in several for kind in kinds]

    def _own_parts(self) -> dict[str, torch.nn.Module]:
        """Return the modules of the user that the model has copies of."""
        parts = self._architecture.items()
        return {n: part for n, part in parts if isinstance(part, torch.nn.Module)}

    def _fitted_content(self) -> dict[str, Any]:
        """Return what is saved of the fitted attributes."""
        net = self.net_
        loss = net.criterion_
        options = set(inspect.signature(type(loss)).parameters) - {"generator"}
        return {
            "model": {
                "class": type(net.module_).__name__,
                "parts": {
                    name: recipe(part, name)
                    for name, part in net.module_.named_children()
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

    def _restore(self, content: dict[str, Any]) -> None:
        """Become what `_fitted_content` was called on."""
        attributes = content["attributes"]
        for name, kind in self._fitted_types.items():
            if not isinstance(attributes.get(name), kind):
                raise ValueError(f"{name} is missing or of another type")
        if unknown := attributes.keys() - self._fitted_types.keys():
            raise ValueError(f"{sorted(unknown)} are not known to this release")
        own, described = self._own_parts(), content["model"]
        parts = {name: remake(part, own) for name, part in described["parts"].items()}
        model: Any = public(described["class"])(**parts)
        weights = content["net"]["weights"]
        if _outlines(model.state_dict()) != _outlines(weights):
            raise ValueError("the weights do not suit the model")
        model.load_state_dict(weights, assign=True)
        kind, options = content["loss"]
        loss: Any = public(kind)(**options, generator=torch.Generator())
        net = make_net(self, model, loss, available_device(self.device))
        restore(net, content["net"])
        self.__dict__.update(attributes, **net_attributes(net))


def _plain(values: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the values that a file can hold, and the types of the others."""
    plain, other = {}, {}
    for name, value in values.items():
        try:
            dump({name: value}, "value")
            plain[name] = value
        except TypeError:
            other[name] = type(value).__name__
    return plain, other


def _outlines(weights: dict[str, torch.Tensor]) -> dict[str, Any]:
    return {name: (tensor.shape, tensor.dtype) for name, tensor in weights.items()}
