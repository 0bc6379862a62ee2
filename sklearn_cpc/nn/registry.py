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


def remake(description: object, own: Mapping[str, nn.Module]) -> Any:
    """Make a part from its description, with weights that take no memory yet.

    Parameters
    ----------
    description : object
        What `describe` returned, or something else from a file.
    own : mapping of str to Module
        The user's own modules, by role; copies of them become parts.

    Returns
    -------
    Module, number or str

    Raises
    ------
    Exception
        Of any kind, if it is not a description.
    """
    match description:
        case str():
            return description
        case int() | float():
            if not abs(description) < LARGEST:
                raise ValueError(
                    f"a part of a model cannot have the argument {description!r}"
                )
            return description
        case {"own": role}:
            return copy.deepcopy(own[role])
        case ["ModuleList", *items]:
            return nn.ModuleList(remake(item, own) for item in items)
        case [str(name), *arguments]:
            return outline(find(name), [remake(item, own) for item in arguments])
    raise ValueError(f"{description!r} describes no part of a model")
