"""Plain values, arrays and random generators to JSON and tensors, and back.

Nothing that comes back can execute anything, and nothing is handed to numpy or torch
that was not looked at.
"""

import math
from typing import Any

import numpy as np
import torch

# Lists and dictionaries within each other.
MAX_DEPTH = 32
# Numbers in the key of numpy's Mersenne twister.
N_KEY = 624
INT64 = range(-(2**63), 2**63)


def encode(value: object, name: str, tensors: dict[str, Any], classes: Any) -> Any:
    """Return JSON for `value`; its tensors are added under names from `name` on."""

    def inner(value: object, key: object) -> Any:
        return encode(value, f"{name}.{key}" if name else str(key), tensors, classes)

    def add(tensor: torch.Tensor) -> str:
        place = name
        while place in tensors:  # the names of weights hold dots, too
            place += "+"
        tensors[place] = tensor
        return place

    match value:
        case None | bool() | str():
            return value
        case int() if value in INT64:
            return value
        case float():
            return float(value) if math.isfinite(value) else {"float": str(value)}
        case np.bool_() | np.number():
            return inner(value.item(), name)
        case list():
            return [inner(item, i) for i, item in enumerate(value)]
        case tuple():
            return {"tuple": inner(list(value), "")}
        case dict():
            if not all(isinstance(key, str) for key in value):
                raise TypeError(f"{name} has keys that are not strings.")
            return {"dict": {key: inner(item, key) for key, item in value.items()}}
        case torch.Tensor():
            # safetensors refuses tensors that share memory.
            return {"tensor": add(value.detach().cpu().contiguous().clone())}
        case np.ndarray() if value.dtype.kind in "biuf":
            return {"array": add(torch.from_numpy(value.copy()))}
        case np.ndarray() if all(isinstance(item, str) for item in value):
            return {"strings": value.tolist()}
        case np.random.Generator() if _is_plain(value, "PCG64"):
            return {"generator": _numbers(value.bit_generator.state)}
        case np.random.RandomState() if _is_plain(value, "MT19937"):
            return {"random_state": _numbers(value.get_state(legacy=False))}
        case _ if type(value) in classes:
            return {"object": [type(value).__name__, inner(value.__getstate__(), "")]}
    raise TypeError(f"{name} is of the type {type(value).__name__}.")


def _numbers(state: Any) -> Any:
    """Return JSON for the state of a random generator."""
    if isinstance(state, dict):
        return {"dict": {name: _numbers(value) for name, value in state.items()}}
    return np.asarray(state).tolist() if hasattr(state, "dtype") else state


def _is_plain(random: np.random.Generator | np.random.RandomState, kind: str) -> bool:
    """Whether numbers come from the bit generator that `Decoder` makes."""
    if isinstance(random, np.random.Generator):
        return type(random.bit_generator).__name__ == kind
    state: Any = random.get_state(legacy=False)
    return bool(state["bit_generator"] == kind)


class Decoder:
    """Returns what `_encode` was given.

    Parameters
    ----------
    tensors : dict of str to Tensor
        Each may be named once: weights that share memory would change together.
    classes : sequence of type
        Classes whose instances may be made.
    """

    def __init__(self, tensors: dict[str, torch.Tensor], classes: Any) -> None:
        self.tensors, self.classes = tensors, {c.__name__: c for c in classes}

    def decode(self, value: object, depth: int = 0) -> Any:
        """Return the value that JSON stands for."""
        if depth > MAX_DEPTH:
            raise ValueError("it holds too many lists within each other")
        if isinstance(value, list):
            return [self.decode(item, depth + 1) for item in value]
        if isinstance(value, int) and value not in INT64:
            raise ValueError(f"it holds a number of {value.bit_length()} bits")
        if not isinstance(value, dict):
            return value
        ((kind, item),) = value.items()
        match kind, item:
            case "float", "inf" | "-inf" | "nan":
                return float(item)
            case "tuple", list():
                return tuple(self.decode(part, depth + 1) for part in item)
            case "dict", dict():
                return {key: self.decode(v, depth + 1) for key, v in item.items()}
            case "tensor", str():
                return self.tensors.pop(item)
            case "array", str():
                return self.tensors.pop(item).numpy()
            case "strings", list() if all(isinstance(part, str) for part in item):
                return np.array(item, dtype=object)
            case "generator", _:
                return _generator(item)
            case "random_state", _:
                return _random_state(item)
            case "object", [str(name), state]:
                made: Any = object.__new__(self.classes[name])
                if state is not None:
                    made.__setstate__(self.decode(state, depth + 1))
                return made
        raise ValueError(f"{kind!r} is not a kind of value, or it holds another one")


def _plain_dict(encoded: Any, names: set[str]) -> dict[str, Any]:
    """Return the dictionary of an encoded one that has exactly these names."""
    match encoded:
        case {"dict": dict(values)} if set(values) == names and len(encoded) == 1:
            return values
    raise ValueError("it holds a random generator without its numbers")


def _check_number(value: Any, end: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < end:
        raise ValueError(f"it holds a random generator with the number {value!r:.40}")


def _generator(encoded: Any) -> np.random.Generator:
    """Return a generator; numpy takes its numbers as they are."""
    state = _plain_dict(encoded, {"bit_generator", "state", "has_uint32", "uinteger"})
    inner = _plain_dict(state["state"], {"state", "inc"})
    ends = {"state": 2**128, "inc": 2**128, "has_uint32": 2, "uinteger": 2**32}
    for name, end in ends.items():
        _check_number((state | inner if name != "state" else inner)[name], end)
    generator: Any = np.random.PCG64(0)
    generator.state = state | {"state": inner}
    return np.random.Generator(generator)


def _random_state(encoded: Any) -> np.random.RandomState:
    """Return a random state; with another position, numpy would read foreign memory."""
    state = _plain_dict(encoded, {"bit_generator", "state", "has_gauss", "gauss"})
    inner = _plain_dict(state["state"], {"key", "pos"})
    key, gauss = inner["key"], state["gauss"]
    if not isinstance(key, list) or len(key) != N_KEY:
        raise ValueError("it holds a random state without its key")
    for number in key:
        _check_number(number, 2**32)
    _check_number(inner["pos"], N_KEY + 1)
    _check_number(state["has_gauss"], 2)
    if not isinstance(gauss, int | float) or not math.isfinite(gauss):
        raise ValueError(f"it holds a random state with the number {gauss!r:.40}")
    random_state = np.random.RandomState(0)
    random_state.set_state(state | {"state": inner})
    return random_state
