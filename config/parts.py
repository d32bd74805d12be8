"""Which parts this installation has: a floor brings its routes and schedule or does without."""

from importlib.util import find_spec


def exists(module: str) -> bool:
    """Say whether a module can be imported, without importing it."""
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # a package on the way to it is missing
        return False
