"""Packages that import each of their names when it is first used.

A node then loads only the modules that it uses: reading films, for example, needs libraries that
no node of images needs. Such a package imports its names for type checkers only:

    if TYPE_CHECKING:
        from face_perception.media.film_sound import FilmSound
    else:
        __getattr__ = lazy_names(__name__)

A name that is also that of one of the package's modules must be imported at once: Python would
return the module once that is loaded.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any


def lazy_names(package: str) -> Callable[[str], Any]:
    """Returns the ``__getattr__`` (PEP 562) of a package, which imports what is asked for.

    It finds the names where they are written for type checkers, in the source of the package.
    """
    modules: dict[str, str] = {}  # by name; empty until the first name is asked for

    def get_attribute(name: str) -> Any:
        if not modules and not name.startswith("__"):
            modules.update(names_for_type_checkers(_source(package)))
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = modules[name]
        if module == package:  # the name is that of a module
            return import_module(f"{package}.{name}")
        value = getattr(import_module(module), name)
        setattr(sys.modules[package], name, value)
        return value

    return get_attribute


def names_for_type_checkers(source: str) -> dict[str, str]:
    """Returns the names that a source imports if TYPE_CHECKING is true, with their modules."""
    blocks = [
        node
        for node in ast.parse(source).body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    ]
    imports = [node for block in blocks for node in block.body if isinstance(node, ast.ImportFrom)]
    return {alias.name: node.module or "" for node in imports for alias in node.names}


def _source(package: str) -> str:
    spec = sys.modules[package].__spec__
    assert spec is not None
    source: str = spec.loader.get_source(package)  # type: ignore[union-attr]
    return source
