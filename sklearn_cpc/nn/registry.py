"""The parts of a model that a file may name, and how to remake them.

A file holds no code. It describes each part by the name of its class and the arguments
of its constructor. Only classes with the decorator `register` can be named; each keeps
its constructor's arguments as attributes of the same names.

The user's own modules are described by their role alone, ``{"own": "encoder"}``: `load`
asks for them.
"""

import copy
import inspect
from collections.abc import Mapping
from typing import Any, TypeVar

from torch import nn

from .initialization import outline

# Numbers in a description are smaller; anything larger cannot be the size of a part.
LARGEST = 2**31
# Letters of an argument, parts within each other, and parts without weights.
LONGEST, DEEPEST, MOST = 100, 8, 100

PACKAGE = f"{__name__.split('.')[0]}."
PARTS: dict[str, type[nn.Module]] = {}

Class = TypeVar("Class", bound=type[nn.Module])


def register(part: Class) -> Class:
    """Let files name a class of modules; a class decorator.

    Parameters
    ----------
    part : type
        A subclass of `torch.nn.Module`. Its instances keep all arguments of the
        constructor as attributes of the same names: numbers, strings, other parts, or a
        `torch.nn.ModuleList` of parts.

    Returns
    -------
    type
        The same class.
    """
    PARTS[part.__name__] = part
    return part


def find(name: str) -> type[nn.Module]:
    """Return the class that a file names.

    Raises
    ------
    ValueError
        If no part has this name.
    """
    if name not in PARTS:
        raise ValueError(f"{name!r} is not a part of a model")
    return PARTS[name]


def describe(value: object, role: str, own: Mapping[str, nn.Module]) -> object:
    """Describe a part so that `remake` can make it again.

    Parameters
    ----------
    value : Module, number or str
        A part, or an argument of one.
    role : str
        The name of the model's part to which the value belongs, such as "encoder".
    own : mapping of str to Module
        The user's own modules, by role.

    Returns
    -------
    object
        Lists, dictionaries, numbers and strings.

    Raises
    ------
    TypeError
        If a module is neither registered nor the user's own.
    """
    if not isinstance(value, nn.Module):
        return value
    if isinstance(value, nn.ModuleList):
        return ["ModuleList", *(describe(item, role, own) for item in value)]
    kind = type(value)
    if role in own and kind is type(own[role]):
        return {"own": role}
    if PARTS.get(kind.__name__) is not kind:
        raise TypeError(
            f"{role}={kind.__name__} cannot be saved: no file can name this class. Put "
            "the decorator sklearn_cpc.nn.register above it."
        )
    arguments = (getattr(value, name) for name in inspect.signature(kind).parameters)
    return [kind.__name__, *(describe(argument, role, own) for argument in arguments)]


def remake(
    description: object, own: Mapping[str, nn.Module], n_weights: int = 0
) -> Any:
    """Make a part from its description, with weights that take no memory yet.

    Parameters
    ----------
    description : object
        What `describe` returned, or something else from a file.
    own : mapping of str to Module
        The user's own modules, by role; copies of them become parts.
    n_weights : int, default=0
        Number of tensors of the file, which limits the number of parts.

    Returns
    -------
    Module

    Raises
    ------
    Exception
        Of any kind, if it is not a description. Sizes and kinds of arguments are
        compared with the constructors before anything is made.
    """
    if not isinstance(description, list | tuple | dict):
        raise ValueError(f"{description!r:.100} describes no part of a model")
    if _checked_parts(description, 0) > n_weights + MOST:
        raise ValueError("there are more parts than weights")
    return _remake(description, own)


def _remake(description: Any, own: Mapping[str, nn.Module]) -> Any:
    """Make a part, or return an argument, from a checked description."""
    match description:
        case {"own": role}:
            return copy.deepcopy(own[role])
        case ["ModuleList", *items]:
            return nn.ModuleList(_remake(item, own) for item in items)
        case [name, *arguments]:
            return outline(find(name), [_remake(item, own) for item in arguments])
    return description


def _checked_parts(description: Any, depth: int) -> int:
    """Return the number of parts of a description, after a look at all of it."""
    if depth > DEEPEST:
        raise ValueError("there are too many parts within each other")
    match description:
        case {"own": str(), **rest} if not rest:
            return 1
        case ["ModuleList", *items]:
            pass
        case [str(name), *items]:
            kind = find(name)
            parameters = list(inspect.signature(kind).parameters.values())
            required = [p for p in parameters if p.default is p.empty]
            # Releases that wrote fewer arguments had what are the defaults now.
            if not len(required) <= len(items) <= len(parameters):
                raise ValueError(f"{name} has other arguments")
            # Sizes of parts of this package are at least 1.
            smallest = 1 if kind.__module__.startswith(PACKAGE) else 1 - LARGEST
            for item, parameter in zip(items, parameters, strict=False):
                _check_argument(item, parameter, smallest)
        case _:
            raise ValueError(f"{description!r:.100} describes no part of a model")
    parts = [item for item in items if isinstance(item, list | tuple | dict)]
    return 1 + sum(_checked_parts(part, depth + 1) for part in parts)


def _check_argument(value: Any, parameter: inspect.Parameter, smallest: int) -> None:
    """Refuse an argument of another type than the constructor says, or a huge one."""
    match value:
        case list() | tuple() | dict():
            fits = parameter.annotation is not int
        case str():
            fits = parameter.annotation is not int and len(value) <= LONGEST
        case int() if parameter.annotation is int:
            fits = not isinstance(value, bool) and smallest <= value < LARGEST
        case int() | float():
            fits = abs(value) < LARGEST
        case _:
            fits = value is None and parameter.annotation is not int
    if not fits:
        raise ValueError(
            f"a part of a model cannot have the argument {value!r:.100} as "
            f"{parameter.name}"
        )
