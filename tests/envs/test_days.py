"""A recorded day of every registered id is still played, number by number: scores do not move unnoticed."""

from __future__ import annotations

import copy
import importlib.util
import json
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from distgrid.envs.suites import ENTRIES

IDS = [entry.id for entry in ENTRIES]
#: Steps of the recorded day: of an episode, or of several where the task ends them.
STEPS = {e.id: max(e.episode_steps, 96 if e.name.startswith("Hosting") else 0) for e in ENTRIES}


def _recorder() -> ModuleType:
    """tools/record_days.py as a module."""
    path = Path(__file__).resolve().parents[2] / "tools" / "record_days.py"
    spec = importlib.util.spec_from_file_location("record_days", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["record_days"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


recorder = _recorder()
played = cache(recorder.play)
RECORDED: dict[str, dict[str, Any]] = recorder.load()


def test_every_registered_id_has_its_day_and_no_day_is_left_over() -> None:
    """A new id records its day; an id that people have scores of does not go away."""
    assert sorted(RECORDED) == sorted(IDS)


@pytest.mark.parametrize("identity", IDS)
def test_the_recorded_day_is_still_played(identity: str) -> None:
    """Observations, rewards and costs of a seeded day: to 1e-9 anywhere, to the bit where it was recorded.

    If this fails by your change, do not record the day anew: give the id a new version, see
    tools/record_days.py.
    """
    day = played(identity)
    assert recorder.differences(RECORDED[identity], day) == []
    assert len(day.rewards) == STEPS[identity]
    assert all(info["pf_converged"] for info in day.infos)


@pytest.mark.quick(8)
@pytest.mark.parametrize("identity", IDS)
def test_the_day_works_every_device_from_end_to_end(identity: str) -> None:
    """A day on which a tap or a battery rests would not notice a change of taps or batteries."""
    actions = np.array(played(identity).actions)
    swings = np.sort(actions.max(axis=0) - actions.min(axis=0))
    assert swings[swings.size // 200] > 1.0  # by chance one of very many may move less
    assert swings[0] > 0.5
    infos = played(identity).infos
    for name in infos[0]["delivered"]:
        done = np.array([info["delivered"][name] for info in infos])
        if name in ("tap_pos", "cap_on"):
            assert (np.ptp(done, axis=0) >= 1).all(), name
    env = recorder.gym.make(identity).unwrapped
    observed = np.array(played(identity).observations)
    kinds = [unit.kind for unit in env.units]
    p_mw = np.array([info["delivered"]["p_mw"] for info in infos])
    storage = p_mw[:, [kind == "battery" for kind in kinds]]
    assert (storage.max(axis=0, initial=1.0) > 0.0).all()
    assert (storage.min(axis=0, initial=-1.0) < 0.0).all()
    for unit in env.units:
        if unit.kind == "battery":
            soc = observed[:, unit.observation["soc"]]
            assert soc.max() - soc.min() > 0.2, unit.name
    assert {"tap_changer", "capacitor_bank", "battery", "ev", "site"} & set(kinds)


@pytest.mark.parametrize("column", ["reward", "cost", "voltages", "observation"])
def test_a_number_that_moved_is_told_on_every_processor(column: str) -> None:
    """The comparison can fail: one value of one step, moved by 1e-8 of its size (observations: 1e-5)."""
    identity = "distgrid/VoltVar3-ieee13-v0"
    elsewhere = copy.deepcopy(RECORDED[identity])
    elsewhere["processor"]["cpu"] = "another"
    assert recorder.differences(elsewhere, played(identity)) == []
    values = elsewhere["numbers"][column]
    values[40] += (1e-5 if column == "observation" else 1e-8) * max(map(abs, values))
    told = recorder.differences(elsewhere, played(identity))
    assert len(told) == 1
    assert told[0].startswith(f"{column}: 1 of {len(values)} values moved, the first at 40: ")


@pytest.mark.parametrize("part", ["observations", "rewards", "costs"])
def test_a_bit_that_moved_is_told_on_the_recorded_processor(part: str) -> None:
    """The smallest change of one value: below 1e-9, hence seen by the bytes, and by them alone."""
    identity = "distgrid/VoltVar-33bw-v0"
    here = recorder.entry_of(played(identity))
    day = copy.deepcopy(played(identity))
    assert recorder.differences(here, day) == []
    if part == "observations":
        day.observations[7][3] = np.nextafter(day.observations[7][3], np.float32(2.0))
    elif part == "rewards":
        day.rewards[7] = float(np.nextafter(day.rewards[7], 0.0))
    else:
        costs = day.infos[7]["costs"]
        name = max(costs, key=lambda key: costs[key])
        costs[name] = float(np.nextafter(costs[name], 9.0))
    assert recorder.differences(here, day) == [f"the bytes of {part} have changed"]


def test_a_cost_that_is_lost_or_another_day_is_told() -> None:
    """A named cost may come or go only where it charges nothing; the seed draws the recorded day."""
    identity = "distgrid/VoltVar3-ieee13-v0"
    day = copy.deepcopy(played(identity))
    for info in day.infos:
        info["costs"]["idle"] = 0.0
    assert recorder.differences(RECORDED[identity], day) == []
    day.day += 1
    for info in day.infos:
        del info["costs"]["voltage_violation"]
    told = recorder.differences(RECORDED[identity], day)
    assert told[0].startswith("day is ")
    assert "no column costs.voltage_violation" in told


@pytest.mark.slow
def test_the_recorder_leaves_a_day_that_moved_as_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str],
                                                        monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    """It adds what is missing, changes an entry only when told, and keeps an entry of an id that is gone."""
    monkeypatch.setattr(recorder, "play", played)
    path = tmp_path / "days.json"
    moved, missing = IDS[0], IDS[1]
    days = copy.deepcopy(RECORDED)
    days[moved]["numbers"]["reward"][5] += 1.0
    del days[missing]
    days["distgrid/Gone-v0"] = days[IDS[2]]
    recorder.save(days, path)
    assert recorder.main([], path) == 1
    told = capsys.readouterr().out
    assert f"{moved}: moved" in told
    assert "distgrid/Gone-v0: recorded, but registered no more" in told
    after = recorder.load(path)
    assert {identity: after[identity] for identity in days} == days
    assert recorder.differences(after[missing], played(missing)) == []
    assert recorder.main(["--replace", moved], path) == 1  # for the id that is gone
    assert recorder.differences(recorder.load(path)[moved], played(moved)) == []
    assert list(tmp_path.iterdir()) == [path]


def test_the_file_is_what_the_recorder_writes(tmp_path: Path) -> None:
    """One spelling, of moderate size, and valid JSON."""
    recorder.save(RECORDED, tmp_path / "days.json")
    assert (tmp_path / "days.json").read_bytes() == recorder.DAYS.read_bytes()
    assert recorder.DAYS.stat().st_size < 600_000
    assert set(json.loads(recorder.DAYS.read_text())) == {"format", "days"}
