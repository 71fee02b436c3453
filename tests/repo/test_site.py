"""The site as it is built: without warnings, with a page of all that is public."""

from __future__ import annotations

import html
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

import gymnasium
import pytest
from PIL import Image

import distgrid
from distgrid import baselines, cases, envs, physics
from distgrid.baselines.registry import fitting
from distgrid.cases import profiles

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # compiles kernels and plays days for all families

ROOT = Path(__file__).resolve().parents[2]
IDS = [identity for identity in gymnasium.registry if identity.startswith("distgrid/")]
FAMILIES = sorted({identity.removeprefix("distgrid/").partition("-")[0] for identity in IDS})
PACKAGES = (distgrid, cases, profiles, physics, envs, baselines)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of the site, and what mkdocs said while it was built."""
    folder = tmp_path_factory.mktemp("site") / "site"
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    quick = {
        "SITE_EPISODES": "1",
        "SITE_FRAMES": "24",
        "SITE_RULES": "do-nothing volt-var-ieee1547",
        "NO_MKDOCS_2_WARNING": "1",  # the theme's advertisement of another program
    }
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **quick}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, done.stdout + done.stderr


@cache
def text_of(page: Path) -> str:
    """What a reader sees of a page."""
    article = page.read_text().partition("<article")[2].partition("</article>")[0]
    return html.unescape(re.sub(r"<[^>]+>", "", article))


def test_it_builds_without_warnings_and_asks_nobody(built: tuple[Path, str]) -> None:
    """Links, anchors, docstrings; and no font from elsewhere."""
    site, said = built
    assert said == ""
    assert "fonts.googleapis" not in (site / "index.html").read_text()


@pytest.mark.parametrize("family", FAMILIES)
def test_the_page_of_a_family_has_its_ids_scores_and_day(family: str, built: tuple[Path, str]) -> None:
    """All ids, each policy that stands for itself, and a GIF of a whole day in at most 300 kB."""
    folder = built[0] / "environments"
    page = text_of(folder / family / "index.html")
    mine = [identity for identity in IDS if identity.startswith(f"distgrid/{family}-")]
    assert mine
    assert all(identity in page for identity in mine)
    scores = page.partition("Scores")[2].partition("Description")[0]
    assert scores.count("do-nothing") >= len(mine)
    steered = [one for one in mine if "volt-var-ieee1547" in fitting(gymnasium.make(one))]
    assert scores.count("volt-var-ieee1547") == len(steered)
    assert f"{family}.gif" in (folder / family / "index.html").read_text()
    gif = folder / f"{family}.gif"
    assert gif.stat().st_size <= 300_000
    with Image.open(gif) as picture:
        assert picture.format == "GIF"
        assert 24 <= getattr(picture, "n_frames", 1) <= 96


def test_observation_and_action_tables_are_those_of_the_environments(built: tuple[Path, str]) -> None:
    """Each block with its columns, each dimension of the action, for every id."""
    for identity in IDS:
        env = gymnasium.make(identity).unwrapped
        family = identity.removeprefix("distgrid/").partition("-")[0]
        page = text_of(built[0] / "environments" / family / "index.html")
        for name, where in env.get_wrapper_attr("layout").items():
            last = f"–{where.stop - 1}" if where.stop - where.start > 1 else ""
            assert re.search(rf"^{where.start}{last}\n{re.escape(name)}\n", page, re.MULTILINE), (
                identity,
                name,
            )
        for dim in env.get_wrapper_attr("action_layout"):
            assert re.search(rf"^{dim.index}\n{re.escape(dim.name)}\n", page, re.MULTILINE), (identity, dim)
        env.close()


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: str(package.__name__))
def test_every_public_name_is_documented(package: ModuleType, built: tuple[Path, str]) -> None:
    """Names of `__all__` have an entry on the page of their package; packages within it a link to theirs."""
    name = package.__name__.rpartition(".")[2]
    page = (built[0] / "api" / name / "index.html").read_text()
    linked = set(re.findall(r'href="\.\./(\w+)/"', page))
    entries = set(re.findall(rf'id="{re.escape(package.__name__)}\.(\w+)"', page))
    missing = set(package.__all__) - entries
    packages = {name for name in missing if isinstance(getattr(package, name), ModuleType)}
    assert missing == packages <= linked, f"not on the page: {sorted(missing - packages)}"
