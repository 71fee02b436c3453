"""The device of docs/own_device.md: thirty lines, every face, nothing lost."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distgrid.envs import DistGridEnv

from .faces import check_faces
from .world import FEEDER3, flat_load

PAGE = Path(__file__).parents[2] / "docs" / "own_device.md"


def first_block() -> str:
    """The lines of Python that define the device."""
    found = re.search(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture
def pump() -> Any:
    """The class that the page defines."""
    names: dict[str, Any] = {}
    exec(first_block(), names)  # noqa: S102  -- our own document
    return names["WaterPump"]


def test_it_takes_thirty_lines() -> None:
    """Imports among them; blank lines count for nothing."""
    assert len([line for line in first_block().splitlines() if line.strip()]) <= 30


def test_every_face_plays_it(pump: Any) -> None:
    """Bit for bit in vectors, on any phase, with bounds that hold and states that are restored."""
    check_faces([pump([18, 25]), pump([30], p_mw=0.3)])
    check_faces([pump(["671"])], case=FEEDER3, phased=True, steps=10)


def test_water_is_conserved(pump: Any) -> None:
    """What was pumped is in the tank or was used, but for what a dry tank did not give, which is charged."""
    env = DistGridEnv("case33bw", [pump([18, 25])], load=flat_load())
    env.reset(seed=0)
    dry = 0.0
    for action in np.random.default_rng(0).uniform(-0.2, 1.0, (96, 2)):
        before = env.fleet.state()["pump.level_mwh"].sum()
        *_, info = env.step(action)
        missed = info["costs"]["pump.discomfort"] / 300.0
        change = 0.25 * (-info["delivered"]["p_mw"].sum() - 2 * 0.04) + missed
        assert env.fleet.state()["pump.level_mwh"].sum() - before == pytest.approx(change, abs=1e-12)
        dry += missed
    assert dry > 0.0
