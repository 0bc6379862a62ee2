"""The house: what each room may import, and what its doors look like.

A room is a folder of the package, or a file at its top. A door is a function or a
method that other rooms may call: its name has no leading underscore.
"""

import ast
from pathlib import Path

import pytest

import sklearn_cpc

ROOT = Path(sklearn_cpc.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
NAMES = [str(path.relative_to(ROOT)) for path in FILES]

# What each room may import: rooms, files at the top, and other libraries. The longest
# prefix of a file's path counts. numpy and the standard library go everywhere.
ROOMS = {
    # Bottom: nothing of the package below.
    "_compat.py": {"sklearn"},
    "_values.py": {"torch"},
    "_warnings.py": {"joblib", "sklearn"},
    "_persistence.py": {"_values.py", "safetensors", "torch"},
    "metrics.py": {"sklearn"},
    "datasets/": {"sklearn"},
    "preprocessing/": {
        "_compat.py",
        "_data/",
        "_warnings.py",
        "pandas",
        "polars",
        "sklearn",
    },
    # What users pass.
    "_data/": {"_warnings.py", "safetensors", "scipy", "sklearn", "tokenizers"},
    # The model.
    "nn/": {"nn/encoders/", "torch"},
    "nn/encoders/": {
        "nn/causal.py",
        "nn/masks.py",
        "nn/registry.py",
        "nn/tracing.py",
        "torch",
    },
    # The order of a fit.
    "training/": {
        "IPython",
        "_data/source.py",
        "_data/groups.py",
        "_persistence.py",
        "_warnings.py",
        "joblib",
        "metrics.py",
        "nn/",
        "skorch",
        "sklearn",
        "torch",
        "tqdm",
    },
    # What the estimators share.
    "_base/": {
        "_compat.py",
        "_data/source.py",
        "_persistence.py",
        "huggingface_hub",
        "nn/",
        "sklearn",
        "torch",
        "training/",
    },
    # What one of them can do besides.
    "_streaming.py": {"_data/", "nn/", "torch", "training/"},
    "_export.py": {
        "_data/",
        "_persistence.py",
        "nn/",
        "onnx",
        "onnxruntime",
        "torch",
        "training/",
    },
    # Top: the estimators, and what users see.
    "_sequence.py": {
        "_base/",
        "_compat.py",
        "_data/",
        "_export.py",
        "_streaming.py",
        "nn/",
        "sklearn",
        "torch",
        "training/",
    },
    "_image.py": {"_base/", "_compat.py", "_data/", "nn/", "torch", "training/"},
    "_text.py": {"_base/", "_compat.py", "_data/", "nn/", "torch", "training/"},
    "adapters/": {"_sequence.py", "aeon", "pandas", "sklearn", "sktime"},
    "_displays/": {"_base/", "_sequence.py", "matplotlib", "sklearn"},
    "__init__.py": {
        "_displays/",
        "_image.py",
        "_persistence.py",
        "_sequence.py",
        "_text.py",
        "_warnings.py",
        "training/",
    },
}
# Parameters that may be of any type: what users pass, and what libraries pass to
# methods that they call.
ANY = {
    "X", "y", "groups", "path", "chunk", "ax", "estimator", "input_features", "values",
    "value", "item", "frame", "scores", "classifier", "target",
    "parameters", "embeddings", "tokenizer", "reducer", "options", "kwargs", "args",
    "ctx", "dataset", "step_fn", "classes", "fit_params", "cb_kwargs", "method",
}  # fmt: skip


def room_of(name):
    """Return the rule that holds for a file."""
    fitting = [room for room in ROOMS if name == room or name.startswith(room)]
    if "/" in name:
        fitting = [room for room in fitting if room.endswith("/") or room == name]
    return max(fitting, key=len)


def imported(path):
    """Yield every imported library, and every imported file of the package."""
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name.split(".")[0]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module.split(".")[0]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1]
            if node.module is None:
                for alias in node.names:
                    yield file_of([*base, alias.name])
            else:
                yield file_of([*base, *node.module.split(".")])


def file_of(parts):
    """Return the file of a module of the package."""
    place = ROOT.joinpath(*parts)
    place = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    assert place.exists(), place
    return str(place.relative_to(ROOT))


def is_ours(name):
    return name in NAMES


def is_allowed(name, target):
    """Whether a file may import a library or another file."""
    if is_ours(target) and room_of(name) == room_of(target):
        return True
    return any(
        target == rule or (rule.endswith("/") and target.startswith(rule))
        for rule in ROOMS[room_of(name)]
    )


STANDARD = {"numpy", *__import__("sys").stdlib_module_names}


@pytest.mark.parametrize("name", NAMES)
def test_imports_point_down(name):
    targets = set(imported(ROOT / name)) - STANDARD
    refused = {target for target in targets if not is_allowed(name, target)}
    assert not refused


def test_every_room_has_a_rule():
    assert {room_of(name) for name in NAMES} == set(ROOMS)


def test_no_circles():
    """Each file imports only files that do not, in turn, import it."""
    graph = {
        name: {target for target in imported(ROOT / name) if is_ours(target)} - {name}
        for name in NAMES
    }
    done = set()
    while rest := set(graph) - done:
        ready = {name for name in rest if graph[name] <= done}
        assert ready, f"circle among {sorted(rest)}"
        done |= ready


@pytest.mark.parametrize("name", NAMES)
def test_files_are_short(name):
    assert len((ROOT / name).read_text(encoding="utf-8").splitlines()) <= 400


def functions(name):
    """Yield all functions of a file, and whether each is within another one."""

    def walk(node, inside):
        for child in ast.iter_child_nodes(node):
            is_function = isinstance(child, ast.FunctionDef)
            if is_function:
                yield child, inside
            yield from walk(child, inside or is_function)

    yield from walk(ast.parse((ROOT / name).read_text(encoding="utf-8")), False)


def parameters(function):
    """Return the parameters of a function, without self and cls."""
    a = function.args
    found = [*a.posonlyargs, *a.args, *a.kwonlyargs]
    found += [arg for arg in (a.vararg, a.kwarg) if arg is not None]
    return [arg for arg in found if arg.arg not in {"self", "cls"}]


@pytest.mark.parametrize("name", NAMES)
def test_functions_have_at_most_seven_parameters(name):
    estimators = {"_base/parameters.py", "_sequence.py", "_image.py", "_text.py"}
    for function, _ in functions(name):
        if function.name == "__init__" and name in estimators:
            continue
        assert len(parameters(function)) <= 7, function.name


@pytest.mark.parametrize("name", NAMES)
def test_doors_are_typed(name):
    """No parameter of a door is of any type, except what users and libraries pass."""
    for function, inside in functions(name):
        is_private = function.name.startswith("_") and function.name != "__init__"
        if inside or is_private:
            continue
        untyped = {
            arg.arg
            for arg in parameters(function)
            if isinstance(arg.annotation, ast.Name) and arg.annotation.id == "Any"
        }
        assert untyped <= ANY, function.name


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("nn/")])
def test_modules_are_asked_for_their_class_and_not_probed(name):
    """An optional member is declared, never looked for by its name."""
    for node in ast.walk(ast.parse((ROOT / name).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id != "hasattr"
            if node.func.id == "getattr":
                assert len(node.args) == 2, "a default hides that something is missing"
