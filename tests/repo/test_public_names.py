"""The public names are those of a list: none comes or goes by accident. See docs/versioning.md."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

LIST = Path(__file__).parents[1] / "reference" / "public_names.txt"


def listed() -> dict[str, list[str]]:
    """Names by package, as the list has them: a line ``[package]``, then a name a line."""
    packages: dict[str, list[str]] = {}
    for line in LIST.read_text().splitlines():
        if line.startswith("["):
            names = packages.setdefault(line.strip("[]"), [])
        elif line:
            names.append(line)
    return packages


@pytest.mark.parametrize("package", listed())
def test_a_package_exports_what_the_list_says(package: str) -> None:
    """A new name is added to the list on purpose; one that goes is a breaking change."""
    names = list(import_module(package).__all__)
    assert sorted(names) == listed()[package]
    assert len(set(names)) == len(names)


def test_every_package_that_people_import_is_listed() -> None:
    """All whose API has a page on the site."""
    pages = {path.stem for path in (Path(__file__).parents[2] / "docs" / "api").glob("*.md")} - {"index"}
    known = {name.rpartition(".")[2] for name in listed()}
    assert pages <= known, pages - known


def test_every_public_name_can_be_taken_from_its_package() -> None:
    for package, names in listed().items():
        module = import_module(package)
        assert [name for name in names if not hasattr(module, name)] == [], package
