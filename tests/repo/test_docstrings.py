"""Examples in docstrings are run, as `pytest --doctest-modules` would, on the installed package."""

from __future__ import annotations

import doctest
import re
from importlib import import_module
from pathlib import Path

import pytest

import distgrid

PACKAGE = Path(distgrid.__file__).parent
FOLDERS = ("baselines", "cases", "envs", "physics")


def modules() -> list[str]:
    """Every module of the package whose source has an example, by its full name."""
    sources = sorted(PACKAGE.glob("*.py"))
    sources += [path for folder in FOLDERS for path in sorted((PACKAGE / folder).rglob("*.py"))]
    names = []
    for path in sources:
        if ">>> " in path.read_text():
            parts = path.relative_to(PACKAGE).with_suffix("").parts
            names.append(".".join(["distgrid", *(part for part in parts if part != "__init__")]))
    return names


@pytest.mark.parametrize("name", modules())
def test_examples_run_and_print_what_they_say(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In an empty folder, where they leave nothing behind."""
    monkeypatch.chdir(tmp_path)
    failed, tried = doctest.testmod(import_module(name), optionflags=doctest.ELLIPSIS)
    assert tried > 0
    assert failed == 0, "see the captured output"
    assert list(tmp_path.iterdir()) == []


def test_the_packages_that_people_meet_first_have_an_example() -> None:
    """The package itself and what its docstring names; a block of code without `>>>` is run by nobody."""
    assert {"distgrid", "distgrid.baselines", "distgrid.cases"} <= set(modules())
    for init in PACKAGE.glob("*/__init__.py"):
        if init.parent.name in FOLDERS:
            text = (import_module(f"distgrid.{init.parent.name}").__doc__ or "").splitlines()
            assert not any(line.startswith(("from ", "import ")) for line in text), init


def test_docstrings_follow_one_convention() -> None:
    """Google's: no section is underlined, as NumPy's are."""
    sources = [path for folder in FOLDERS for path in (PACKAGE / folder).rglob("*.py")]
    underlined = [path for path in sources if re.search(r"^ +-{4,}$", path.read_text(), re.MULTILINE)]
    assert len(sources) > 200
    assert underlined == []
