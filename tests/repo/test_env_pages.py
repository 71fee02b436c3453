"""The pages of environments and devices say what these do. Whole pages are in `test_site.py`."""

from __future__ import annotations

import io
import re
from functools import cache
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import yaml
from PIL import Image

import distgrid
from distgrid import envs
from distgrid.cases import profiles

IDS = [identity for identity in gymnasium.registry if identity.startswith("distgrid/")]
FAMILIES = sorted({identity.removeprefix("distgrid/").partition("-")[0] for identity in IDS})
DEVICES = (
    "Battery", "PV", "Wind", "EV", "HeatPump", "FlexibleLoad", "Generator", "DataCenter", "SoftOpenPoint",
    "TapChanger", "CapacitorBank", "HostingSite",
)  # fmt: skip


@pytest.fixture
def tools(repo_root: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that imports a module of tools/."""
    monkeypatch.syspath_prepend(str(repo_root / "tools"))
    return import_module


def documented_info(repo_root: Path) -> dict[str, bool]:
    """Key -> whether `reset` has it too, from the table of the overview page."""
    text = (repo_root / "docs" / "environments" / "index.md").read_text().partition("## Info")[2]
    rows = [line.split("|")[1:-1] for line in text.splitlines() if line.startswith("| `")]
    return {row[0].strip().strip("`"): "reset" in row[1] for row in rows}


def test_environments_are_registered() -> None:
    """Importing the package is enough."""
    assert distgrid.__version__
    assert len(IDS) >= 6


@pytest.mark.quick(8)
@pytest.mark.parametrize("identity", IDS)
def test_documented_info_keys_are_the_real_ones(identity: str, repo_root: Path) -> None:
    """Trap 24: documented keys that do not exist, and keys that exist and are documented nowhere."""
    documented = documented_info(repo_root)
    env: Any = gymnasium.make(identity).unwrapped
    after_reset = env.reset(seed=0)[1]
    after_step = env.step(env.neutral_action)[4]
    env.close()
    assert set(after_step) == set(documented)
    assert set(after_reset) == {key for key, at_reset in documented.items() if at_reset}


@pytest.mark.slow
def test_tables_of_readme_and_overview_are_current(tools: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """What `tools/env_tables.py` would write is what stands there."""
    assert tools("env_tables").main(["--check"]) == 0, f"run tools/env_tables.py\n{capsys.readouterr().out}"


@pytest.mark.parametrize(("page", "folder"), [("README.md", None), ("docs/environments/index.md", "")])
def test_each_environment_is_listed(page: str, folder: str | None, repo_root: Path) -> None:
    """Against the registry, not the tool that writes the tables; the overview leads to the families."""
    table = (repo_root / page).read_text()
    table = table.partition("<!-- environments:start -->")[2].partition("<!-- environments:end -->")[0]
    assert set(re.findall(r"`(distgrid/[^`]+)`", table)) == set(IDS)
    links = re.findall(r"\]\((\S+)\.md\)", table)
    assert set(links) == (set() if folder is None else set(FAMILIES))


def test_no_made_page_is_committed_and_each_is_in_the_navigation(repo_root: Path) -> None:
    """One page a family and one a kind of device; the hook makes them."""
    settings = yaml.safe_load((repo_root / "mkdocs.yml").read_text())
    assert settings["strict"] is True
    assert settings["hooks"] == ["tools/site_hook.py"]
    navigation = (repo_root / "mkdocs.yml").read_text()
    assert set(re.findall(r"environments/(\S+)\.md", navigation)) == {*FAMILIES, "index"}
    assert set(re.findall(r"devices/(\S+)\.md", navigation)) == set(DEVICES)
    assert [page.name for page in (repo_root / "docs" / "environments").iterdir()] == ["index.md"]
    assert not (repo_root / "docs" / "devices").exists()


def test_each_kind_of_device_has_its_page(tools: Any) -> None:
    """All that the package offers, and nothing else."""
    public = {name: getattr(envs, name) for name in envs.__all__}
    specs = {
        n for n, thing in public.items() if isinstance(thing, type) and issubclass(thing, envs.ResourceSpec)
    }
    assert set(tools("site_pages.catalogue").device_kinds()) == set(DEVICES) == specs - {"ResourceSpec"}


@pytest.mark.quick(1)
@pytest.mark.parametrize("name", DEVICES)
def test_the_page_of_a_device_shows_one_at_work(name: str, tools: Any) -> None:
    """Its block of Python runs, its fields are those of the class, its action is in the table."""
    page = tools("site_pages.devices").device_page(name)
    (source,) = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    found: dict[str, Any] = {}
    exec(source, found)  # noqa: S102  -- our own documents
    (device,) = found["env"].resources
    assert type(device).__name__ == name
    fields = page.partition("## Fields")[2].partition("##")[0]
    assert re.findall(r"^\| `(\w+)` \|", fields, re.MULTILINE) == list(signature(type(device)).parameters)
    actions = page.partition("## Actions")[2].partition("##")[0]
    assert all(f"`{dim.name}`" in actions for dim in found["env"].action_layout)
    users = page.partition("## Environments that have one")[2]
    assert set(re.findall(r"`(distgrid/[^`]+)`", users)) == {i for i in IDS if device.kind in _kinds(i)}


@pytest.mark.quick(1)
@pytest.mark.parametrize("name", DEVICES)
def test_the_plot_of_a_device_shows_what_came_of_its_actions(name: str, tools: Any) -> None:
    """A page with a plot for each device: what is asked for is another course than rest; the names of the
    actions and of what is observed stand in the picture.
    """
    plots = tools("site_pages.device_plots")
    asked, day = plots.working_day(name)
    rest = plots.played_day(name, day, (0.0,) * len(plots.LEVELS))
    assert asked.action.shape == (96, len(asked.action_names))
    assert not np.array_equal(asked.action, rest.action)
    assert np.isfinite(asked.delivered).all()
    assert (asked.seen >= -1e-6).all()
    assert (asked.seen <= 1.0 + 1e-6).all()
    picture = plots.device_plot(name).decode()
    assert all(f">{label}<" in picture for label in [*asked.action_names, *asked.seen_names])
    assert f"]({name}.svg)" in tools("site_pages.devices").device_page(name)


@cache
def _kinds(identity: str) -> frozenset[str]:
    """Kinds of the devices of an environment."""
    env: Any = gymnasium.make(identity).unwrapped
    kinds = frozenset(unit.kind for unit in env.units)
    env.close()
    return kinds


@pytest.mark.slow
def test_an_animated_day_is_small_whole_and_the_same_each_time(tools: Any) -> None:
    """Two builds give the same bytes; half an hour a frame; the pixels are near those that were rendered."""
    days, animation = tools("site_pages.days"), tools("site_pages.animation")
    first, *_ = tools("site_pages.catalogue").families()["VoltVar"]
    day = days.Day(first.id, first.case, "volt-var-ieee1547", int(profiles.split_days("test")[0]))
    gif = days.drawn(first, day)
    env = gymnasium.make(first.id, split="test", render_mode="rgb_array").unwrapped
    frames = animation.day_frames(env, day.rule, day.number)
    env.close()
    assert gif == animation.animated(frames)
    assert len(gif) <= 300_000
    picture = Image.open(io.BytesIO(gif))
    assert getattr(picture, "n_frames", 1) == len(frames) == 48
    for at in (0, 20, 47):
        picture.seek(at)
        away = np.abs(np.asarray(picture.convert("RGB")).astype(int) - frames[at])
        assert away.mean() < 1.0
        assert away.max() < 100


def test_a_day_that_does_not_fit_is_an_error(tools: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody learns from a slow page that the limit was passed."""
    animation = tools("site_pages.animation")
    monkeypatch.setattr(animation, "MOST_BYTES", 1000)
    noise = np.random.default_rng(0).integers(0, 256, (3, 60, 100, 3), dtype=np.uint8)
    with pytest.raises(ValueError, match="bytes, more than the 1000 allowed"):
        animation.animated(list(noise))


def test_the_page_says_what_each_level_knows_of_the_coming_interval(tools: Any) -> None:
    """A line for each level: at "oracle" loads and sun, else the clock alone."""
    battery = [envs.Battery(18, 0.2, 0.8), envs.PV(25, 0.5)]
    page = tools("site_pages.tables").level_table(
        lambda level: envs.DistGridEnv("case33bw", battery, observation=level)
    )
    known = {
        line.split("|")[1].strip(" `"): line.split("|")[3].strip() for line in page.splitlines()[2:] if line
    }
    assert known.pop("oracle") == "`clock`, `load_p_mw`, `load_q_mvar`, `pv.p_avail_mw`"
    assert known == dict.fromkeys(("global", "graph", "measured", "local+forecast", "local"), "`clock`")
