"""Write the shared parameters into the signatures of the estimators.

Each signature is written out, for editors and readers. This script adds what
`SharedParameters` has and a signature lacks, in the same order, and rewrites the call
of ``super().__init__``. Defaults and parameters of an estimator's own stay as they are.

    python .ci/write_signatures.py [--check]
"""

import ast
import sys
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "sklearn_cpc"
ESTIMATORS = ["_sequence.py", "_image.py", "_text.py"]


def find_init(source):
    """Return the constructor of the one class in a file that has shared parameters."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef) and node.name == "__init__":
            return node
    raise ValueError("there is no __init__")


def defaults(source):
    """Return the parameters of the constructor and the text of their defaults."""
    arguments = find_init(source).args
    pairs = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    return {arg.arg: ast.get_source_segment(source, value) for arg, value in pairs}


def merged(own, shared):
    """Add the shared parameters that are missing, each after the one before it."""
    order = list(own)
    for i, name in enumerate(shared):
        if name not in own:
            before = [
                order.index(other) for other in list(shared)[:i] if other in order
            ]
            order.insert(1 + max(before, default=-1), name)
    return {name: own.get(name, shared.get(name)) for name in order}


def rewritten(source, shared):
    """Return a file with its signature and its call of ``super().__init__``."""
    init = find_init(source)
    call = init.body[0]
    lines = source.splitlines(keepends=True)
    parameters = merged(defaults(source), shared)
    signature = [f"        {name}={value},\n" for name, value in parameters.items()]
    passed = [f"            {name}={name},\n" for name in shared]
    lines[init.lineno - 1 : call.end_lineno] = [
        "    def __init__(\n        self,\n        *,\n",
        *signature,
        "    ):\n        super().__init__(\n",
        *passed,
        "        )\n",
    ]
    return "".join(lines)


def main(package, check):
    """Rewrite the files, or only say which would change; return how many would."""
    shared = defaults((package / "_base" / "parameters.py").read_text(encoding="utf-8"))
    changed = 0
    for path in (package / name for name in ESTIMATORS):
        before = path.read_text(encoding="utf-8")
        after = rewritten(before, shared)
        if after != before:
            changed += 1
            print(f"{path.name} {'lacks parameters' if check else 'rewritten'}")
            if not check:
                path.write_text(after, encoding="utf-8")
    return changed


if __name__ == "__main__":
    only_check = "--check" in sys.argv[1:]
    sys.exit(bool(main(PACKAGE, only_check)) and only_check)
