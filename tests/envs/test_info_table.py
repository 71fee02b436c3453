"""Keys of infos are named once: faces, tasks, recorders and the page read one list."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import distgrid
from distgrid.envs import DistGrid3PhaseVectorEnv, DistGridEnv, DistGridVectorEnv, VoltVar
from distgrid.envs.kernels import info_table
from distgrid.envs.kernels.info_table import INFO, Counted, Flag, InfoKey, InfoPlan, Measured
from distgrid.physics.flags import CONVERGED, DIVERGED
from distgrid.physics.row_results import N_VOLTAGE, V_UPDATE

from .world import WORLDS

ROOT = Path(distgrid.__file__).parent
#: Keys that no face knows, one line each.
MORE = (
    InfoKey("pf_update_pu", "pu", "last change of a voltage", Measured(V_UPDATE)),
    InfoKey("n_outside", "", "voltages outside the band, again", Counted(N_VOLTAGE)),
    InfoKey("any_end", "", "whether a power flow has ended", Flag(CONVERGED & DIVERGED, 0)),
)


@pytest.mark.parametrize("kind", WORLDS)
def test_a_new_key_is_one_line(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line added to the list is told by reset and step of single and vector faces, and to tasks."""
    monkeypatch.setattr(info_table, "PLAN", InfoPlan((*INFO, *MORE)))
    made: Callable[..., DistGridEnv] = WORLDS[kind]
    single = made(task=VoltVar())
    options: dict[str, Any] = {"case": single.feeder, "resources": single.resources, "task": VoltVar()}
    face = DistGridVectorEnv if kind == "balanced" else DistGrid3PhaseVectorEnv
    vector = face(**options, num_envs=2)
    first, many = single.reset(seed=1)[1], vector.reset(seed=1)[1]
    action = single.neutral_action
    after = single.step(action)[4]
    steps = vector.step(np.stack([action, action]))[4]
    for info, infos in ((first, many), (after, steps)):
        assert info["pf_update_pu"] == infos["pf_update_pu"][0] > 0.0
        assert info["n_outside"] == infos["n_outside"][0] == info["n_voltage_violations"]
        assert info["any_end"] is True
        assert infos["any_end"].all()
        assert sorted(key for key in infos if not key.startswith("_")) == sorted(info)
    assert single.grid._view.value("pf_update_pu")[0] == after["pf_update_pu"]


def test_tasks_read_what_is_told() -> None:
    """`StepView.value` gives the number of the info by its key, and names the keys for others."""
    env = WORLDS["balanced"]()
    env.reset(seed=0)
    info = env.step(env.neutral_action)[4]
    for line in INFO:
        if isinstance(line.source, Measured):
            assert env.grid._view.value(line.key)[0] == info[line.key], line.key
    with pytest.raises(ValueError, match="'p_loss' is not measured: expected one of p_slack_MW"):
        env.grid._view.value("p_loss")


def test_every_key_is_told_in_the_order_of_the_list() -> None:
    """Infos have the keys of the list and no others."""
    env = WORLDS["balanced"]()
    assert list(env.reset(seed=0)[1]) == list(env.step(env.neutral_action)[4]) == [k.key for k in INFO]


def test_the_code_of_environments_spells_each_key_once() -> None:
    """Keys of what a grid tells stand as a literal in the list and in no other module of the package."""
    told = {k.key for k in INFO if isinstance(k.source, Measured | Counted | Flag)}
    assert len(told) > 12
    for path in (ROOT / "envs").rglob("*.py"):
        spelt = [
            node.value
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Constant) and node.value in told
        ]
        assert sorted(spelt) == (sorted(told) if path.name == "info_table.py" else []), path


def test_the_page_tells_the_same() -> None:
    """The overview page has a line for each key with its unit and meaning, and none for another."""
    page = (ROOT / "docs" / "environments" / "index.md").read_text()
    section = page.partition("\n## Info\n")[2].partition("\n## ")[0]
    lines = [line.split("|")[1:-1] for line in section.splitlines() if line.startswith("| `")]
    told = {key.strip(" `"): (unit.strip(), meaning.strip()) for key, _, unit, meaning in lines}
    assert told == {k.key: (k.unit, k.meaning) for k in INFO}
