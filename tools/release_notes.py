"""Check that a tag is the version of this tree, and print the changelog's section of it.

    python tools/release_notes.py v0.2.0 > notes.md

Exit 1, with the reason, where the tag, pyproject.toml, distgrid.__version__, CITATION.cff and the changelog
do not name one version, or where the changelog's section is empty. Needs nothing but Python itself.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def stated_versions(root: Path) -> dict[str, str]:
    """The version by each file that states it; "none" where it does not."""
    places = {"__init__.py": r'^__version__ = "([^"]+)"$', "CITATION.cff": r"^version: (\S+)$"}
    found = {"pyproject.toml": tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]}
    for name, pattern in places.items():
        match = re.search(pattern, (root / name).read_text(), re.MULTILINE)
        found[name] = match[1] if match else "none"
    return found


def section(changelog: str, version: str) -> str:
    """What the changelog says of a version, without its heading; ValueError where it says nothing."""
    heading = rf"^## \[{re.escape(version)}\] - \d{{4}}-\d{{2}}-\d{{2}}$"
    match = re.search(rf"{heading}\n(.*?)(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL)
    text = match[1].strip() if match else ""
    if not text:
        raise ValueError(f"CHANGELOG.md: no text under '## [{version}] - YYYY-MM-DD'")
    return text


def release_notes(tag: str, root: Path = ROOT) -> str:
    """The notes of the release that `tag` names.

    Raises:
        ValueError: the tag is not that of the version that every file states, or there are no notes.
    """
    for name, version in stated_versions(root).items():
        if tag != f"v{version}":
            raise ValueError(f"{name}: version {version}, but the tag is {tag!r}; expected 'v{version}'")
    return section((root / "CHANGELOG.md").read_text(), tag.removeprefix("v"))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python tools/release_notes.py TAG")
    try:
        print(release_notes(sys.argv[1]))
    except ValueError as error:
        sys.exit(str(error))
