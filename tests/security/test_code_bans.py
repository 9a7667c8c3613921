"""What the package's code never does, found in its syntax trees."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

import turnout

ROOT = Path(turnout.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
SERVING = ("gateway", "wire", "providers", "execution", "store", "observe", "settings", "policies",
           "routers", "encoders", "artifacts", "access", "client", "engine", "calibration")  # fmt: skip

PICKLES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
CODE = {"eval", "exec", "compile", "__import__", "execfile"}
PROCESSES = {"subprocess", "pty", "popen2", "commands"}
UNSAFE_YAML = {"yaml.load", "yaml.unsafe_load", "yaml.full_load", "yaml.load_all"}
SPAWNING = re.compile(
    r"os\.(system|popen|exec\w*|spawn\w*|posix_spawn\w*|fork\w*)\Z"
    r"|(\w+\.)*(create_subprocess_\w+|subprocess_exec|subprocess_shell)\Z"
)
SPAWNS = {"providers/litellm/process.py: calls asyncio.create_subprocess_exec"}
"""The one process that a gateway starts: Python with a module of ours, whatever is asked of it."""
SECRET_NAME = re.compile(r"(^|_)(secret|token|password|passwd|api_key|digest|signature|hmac|mac)\Z")


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """Every call, under the dotted name that it is written with."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield (node.module or "").partition(".")[0]


def keyword(call: ast.Call, name: str) -> object:
    found = next((k.value for k in call.keywords if k.arg == name), None)
    return found.value if isinstance(found, ast.Constant) else found


def last(name: str) -> str:
    return name.rpartition(".")[2]


BANNED: dict[str, Callable[[str, ast.Call], bool]] = {
    "runs code": lambda name, _: name in CODE,
    "YAML that makes objects": lambda name, _: name in UNSAFE_YAML,
    "opens a pickle": lambda name, _: last(name) in ("read_pickle", "from_pickle", "to_pickle"),
    "a name that can be guessed": lambda name, _: last(name) == "mktemp",
    "may unpickle": lambda name, call: (
        (name == "torch.load" and keyword(call, "weights_only") is not True)
        or (name in ("np.load", "numpy.load") and keyword(call, "allow_pickle") is not False)
    ),
    "trusts any certificate": lambda name, call: (
        keyword(call, "verify") is False or last(name).startswith("_create_")
    ),
    "asks a shell": lambda _, call: keyword(call, "shell") is True,
    "follows redirects": lambda _, call: (
        keyword(call, "follow_redirects") is True or keyword(call, "allow_redirects") is True
    ),
    "a template that is not a file of ours": lambda name, _: last(name) == "from_string",
    "writes markup unescaped": lambda name, call: (
        last(name) == "Environment" and keyword(call, "autoescape") is not True
    ),
}


def problems(tree: ast.Module, *, serving: bool) -> list[str]:
    """What a module does that it must not."""
    found = [f"imports {name}" for name in imported(tree) if name in PICKLES]
    if serving:
        found += [f"imports {name}" for name in imported(tree) if name in PROCESSES]
    for name, call in calls(tree):
        if serving and SPAWNING.match(name):
            found.append(f"calls {name}")
        found += [f"{name}: {why}" for why, bad in BANNED.items() if bad(name, call)]
    return found + [f"compares {text}" for text in compared(tree)]


def compared(tree: ast.AST) -> Iterator[str]:
    """Secrets compared by `==`, whose time tells how much of a guess is right."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Compare):
            continue
        if not any(isinstance(op, ast.Eq | ast.NotEq) for op in node.ops):
            continue
        sides = [node.left, *node.comparators]
        if any(isinstance(side, ast.Constant) for side in sides):
            continue
        for side in sides:
            name = ast.unparse(side).rpartition(".")[2]
            if SECRET_NAME.search(name) and not name.endswith(("input_token", "output_token")):
                yield ast.unparse(node)


def test_no_module_does_what_is_banned() -> None:
    bad = []
    for path in FILES:
        where = path.relative_to(ROOT).as_posix()
        serving = where.split("/")[0].removesuffix(".py") in SERVING
        bad += [f"{where}: {problem}" for problem in problems(tree_of(path), serving=serving)]
    assert set(bad) == SPAWNS


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from joblib import load",
        "eval(text)",
        "yaml.load(text, Loader=yaml.Loader)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "pd.read_pickle(path)",
        "import subprocess",
        "os.system('ls')",
        "asyncio.create_subprocess_exec('ls')",
        "create_subprocess_shell('ls')",
        "given_token == token",
        "if self.api_key != key: pass",
        "httpx2.Client(verify=False)",
        "httpx2.Client(follow_redirects=True)",
        "Environment(loader=x)",
        "environment.from_string(text)",
        "ssl._create_unverified_context()",
    ],
)
def test_the_search_finds_each_of_them(code: str) -> None:
    assert problems(ast.parse(code), serving=True)


def test_no_template_is_made_of_what_a_request_says() -> None:
    """The only templates are files of the package; the gateway's API has none."""
    using = [p.relative_to(ROOT) for p in FILES if "jinja2" in set(imported(tree_of(p)))]
    assert using == [Path("templates.py")]
    pages = {
        p.relative_to(ROOT).parts[0] for p in FILES if "turnout.templates" in p.read_text("utf-8")
    }
    assert pages <= {"evaluation", "review", "dashboard"}
