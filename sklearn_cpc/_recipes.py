"""How the parts of a model are made again: recipes that a file can hold.

A recipe is a list of the name of a class and its arguments, numbers, strings or other
recipes. `build` notes the arguments of what it makes; a module that is made of others
names the attributes that are its arguments, in order, as ``made_of``. Modules of the
user's own have neither: their recipe is ``{"own": role}``, and only their weights are
known.
"""

import copy
import inspect
from typing import Any

from torch.nn import Module, ModuleList

from . import nn
from .nn.initialization import outline

# Numbers that give a model its shape are smaller, or a recipe is not ours.
LARGEST = 2**31


def recipe(part: Any, role: str) -> Any:
    """Return the recipe of a part.

    Parameters
    ----------
    part : Module or anything else
        What is no module is its own recipe.
    role : str
        What a module of the user's own in it is called.
    """
    if not isinstance(part, Module):
        return part
    if isinstance(part, ModuleList):
        return ["ModuleList", *(recipe(item, role) for item in part)]
    name = type(part).__name__
    made_of: Any = getattr(part, "made_of", None)
    if made_of is not None:
        return [name, *(recipe(getattr(part, made), role) for made in made_of)]
    arguments: Any = getattr(part, "arguments", None)
    return {"own": role} if arguments is None else [name, *arguments]


def remake(made: Any, own: dict[str, Module]) -> Any:
    """Make a part again, without memory for its weights; of `own` modules, a copy.

    Raises
    ------
    Exception
        Of any kind, if it is no recipe.
    """
    match made:
        case str() | int() | float():
            if not isinstance(made, str) and not abs(made) < LARGEST:
                raise ValueError(f"a part of a model cannot have the argument {made!r}")
            return made
        case {"own": role}:
            return copy.deepcopy(own[role])
        case ["ModuleList", *items]:
            return ModuleList(remake(item, own) for item in items)
        case [name, *arguments]:
            return outline(public(name), [remake(item, own) for item in arguments])
    raise ValueError(f"{made!r} is no recipe")


def public(name: str) -> type[Module]:
    """Return the class of a part of a model; nothing else can be named in a recipe."""
    part = getattr(nn, name) if name in nn.__all__ else None
    if not (inspect.isclass(part) and issubclass(part, Module)):
        raise ValueError(f"{name!r} is no part of a model")
    return part
