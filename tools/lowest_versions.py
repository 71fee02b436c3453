"""Print the oldest releases that pyproject.toml allows, as a constraints file for pip.

    python tools/lowest_versions.py > lowest.txt
    pip install -c lowest.txt dist/distgrid-*.whl

Of each requirement ``name>=1.2``, also of extras, the newest bug fix of that release: ``name==1.2.*``.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement

PYPROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"
APART = ("rllib",)  # extras that pin a gymnasium of their own


def pin(requirement: Requirement) -> str:
    """The constraint of one requirement; ValueError where it has no lower bound."""
    bounds = [each.version for each in requirement.specifier if each.operator == ">="]
    if len(bounds) != 1:
        raise ValueError(f"{requirement} has no lower bound")
    release = bounds[0] if "." in bounds[0] else f"{bounds[0]}.0"
    return f"{requirement.name}=={release}.*"


def lowest(text: str) -> Iterator[str]:
    """One constraint for each requirement of the package and of its extras."""
    project = tomllib.loads(text)["project"]
    extras = {name: wanted for name, wanted in project["optional-dependencies"].items() if name not in APART}
    for wanted in (project["dependencies"], *extras.values()):
        yield from (pin(Requirement(each)) for each in wanted)


if __name__ == "__main__":
    print("\n".join(lowest(PYPROJECT.read_text())))
