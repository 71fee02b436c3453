"""The checkout behind an editable install, found before a folder of data that bears the package's name.

`make setup` copies this file into the virtual environment, where Python imports it when it starts. The finder
that setuptools installs comes after Python's own, to which every folder ``distgrid/`` on the path, the
working directory first, is a package without code: it would hide the checkout. A package with code, as in a
wheel on PYTHONPATH, still comes first.
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec, PathFinder
from typing import Any

NAME = "distgrid"


class CheckoutFirst:
    """Answers for one name, and only where Python's own finder would take a folder without code."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """What an ``import`` of ``name`` shall find, or None to go on as usual."""
        if name != NAME:
            return None
        usual = PathFinder.find_spec(name)
        if usual is None or usual.origin is not None:
            return None
        for finder in sys.meta_path:
            if f"__editable___{NAME}_" in str(finder):
                return finder.find_spec(name, path, target)
        return None


sys.meta_path.insert(0, CheckoutFirst)
