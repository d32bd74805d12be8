"""No module of the product can read a pickle: what would is imported and called nowhere."""

import ast
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.core.cache import cache
from redis import Redis

from tests.bench.installation import ROOT

PRODUCT = (
    "config", "frontend", "billing", "analytics", "mlops", "telemetry", "production", "tenants",
    "infra", "clients",
)  # fmt: skip
# Each reads pickles, or code, from bytes.
FORBIDDEN = {
    "pickle", "_pickle", "cPickle", "pickletools", "dill", "cloudpickle", "joblib", "shelve",
    "marshal", "skops", "torch", "jsonpickle", "pandas.io.pickle",
}  # fmt: skip
SAFE_LOADERS = {"SafeLoader", "CSafeLoader", "BaseLoader", "CBaseLoader"}
UNSAFE_CALLS = {
    "read_pickle", "unsafe_load", "unsafe_load_all", "full_load", "full_load_all",
    "log_model", "load_model", "pyfunc",
}  # fmt: skip


def complaints(tree: ast.AST) -> Iterator[str]:
    """Say what in a module could read a pickle."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (f"imports {a.name}" for a in node.names if is_forbidden(a.name))
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            yield from (f"imports {name}" for name in names if is_forbidden(name))
        elif isinstance(node, ast.Call):
            yield from complaints_of_call(node)
        elif isinstance(node, ast.Attribute) and node.attr in UNSAFE_CALLS:
            yield f"uses {node.attr}"


def is_forbidden(name: str) -> bool:
    return name in FORBIDDEN or name.split(".")[0] in FORBIDDEN


def complaints_of_call(node: ast.Call) -> Iterator[str]:
    for keyword in node.keywords:
        is_false = isinstance(keyword.value, ast.Constant) and keyword.value.value is False
        if keyword.arg == "allow_pickle" and not is_false:
            yield "allows pickles"
    if isinstance(node.func, ast.Name) and node.func.id in ("__import__", "import_module"):
        named = [str(arg.value) for arg in node.args if isinstance(arg, ast.Constant)]
        yield from (f"imports {name}" for name in named if is_forbidden(name))
    if not isinstance(node.func, ast.Attribute) or not isinstance(node.func.value, ast.Name):
        return
    call = f"{node.func.value.id}.{node.func.attr}"
    if call in ("yaml.load", "yaml.load_all"):
        given = [*node.args[1:], *(k.value for k in node.keywords if k.arg == "Loader")]
        if not any(isinstance(g, ast.Attribute) and g.attr in SAFE_LOADERS for g in given):
            yield f"calls {call} without a safe loader"


def modules() -> list[Path]:
    return sorted(path for folder in PRODUCT for path in (ROOT / folder).rglob("*.py"))


def test_no_module_of_the_product_can_read_a_pickle():
    found = {
        str(path.relative_to(ROOT)): said
        for path in modules()
        if (said := list(complaints(ast.parse(path.read_text()))))
    }

    assert len(modules()) > 300
    assert found == {}


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "import joblib as j",
        "from dill import loads",
        "from _pickle import Unpickler",
        "import marshal, json",
        "def later():\n    import cloudpickle",
        "from torch import load",
        "__import__('shelve')",
        "np.load(path, allow_pickle=True)",
        "np.load(path, allow_pickle=asked)",
        "pd.read_pickle(path)",
        "yaml.load(text)",
        "yaml.load(text, Loader=yaml.Loader)",
        "yaml.unsafe_load(text)",
        "mlflow.pyfunc.load_model(name)",
    ],
)
def test_the_check_sees(source):
    assert list(complaints(ast.parse(source)))


@pytest.mark.parametrize(
    "source",
    [
        "np.load(path, allow_pickle=False)",
        "yaml.load(text, Loader=yaml.SafeLoader)",
        "yaml.safe_load(text)",
        "from telemetry.services import shelve",
    ],
)
def test_the_check_lets_pass(source):
    assert not list(complaints(ast.parse(source)))


def test_messages_are_json_only():
    from config.celery import app

    assert list(app.conf.accept_content) == ["json"]
    assert (app.conf.task_serializer, app.conf.result_serializer) == ("json", "json")


class Boom:
    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self):
        return (Path.touch, (self.trace,))


def test_a_pickle_in_the_cache_is_not_read(tmp_path):
    trace = tmp_path / "trace"
    place = cache.make_and_validate_key("planted")
    valkey = Redis.from_url(settings.VALKEY_URL)
    valkey.set(place, b'"seen"')
    assert cache.get("planted") == "seen"
    valkey.set(place, pickle.dumps(Boom(trace)))

    assert cache.get("planted") is None
    assert not trace.exists()


def test_the_cache_keeps_what_json_can_say():
    for value in (3, 2.5, "text", None, True, [1, "a"], {"a": [1.5, None]}):
        cache.set("kept", value)
        assert cache.get("kept") == value
    cache.set("counted", 1)

    assert cache.incr("counted") == 2
