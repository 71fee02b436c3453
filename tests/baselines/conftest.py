"""A small stand-in for the environment: enough for policies, which read columns and write actions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import gymnasium
import numpy as np
import pytest

from distgrid.envs import Entry
from distgrid.envs.core.codecs import BoxCodec
from distgrid.envs.core.observation_layout import Layout

if TYPE_CHECKING:
    from distgrid.envs import Block


@dataclass(frozen=True)
class FakeUnit:
    """The part of `UnitInfo` that policies read."""

    name: str
    kind: str
    bus: str
    p_mw: float
    s_mva: float
    q_max_mvar: float
    action_p: int | None
    action_q: int | None
    observation: dict[str, int] = field(default_factory=dict)
    phase: str = "ABC"


def fake_layout(blocks: Mapping[str, Sequence[str | None]]) -> Layout:
    """Blocks by name, with the bus of each of their entries."""
    listed = []
    for name, buses in blocks.items():
        block = cast("Block", SimpleNamespace(name=name))
        named = enumerate(buses)
        entries = [Entry(f"{name}[{k}]", "1", -9.0, 9.0, bus=bus, phase=bus and "ABC") for k, bus in named]
        listed.append((block, entries))
    return Layout(listed)


class FakeGrid(gymnasium.Env[Any, Any]):
    """Five nodes, three inverters and a battery.

    Observation: clock (4), v_pu (5), pv.p_avail_mw (3). Action: battery p, three q. The third inverter cannot
    deliver all that Category B asks for.
    """

    def __init__(self) -> None:
        self.layout = fake_layout({"clock": [None] * 4, "v_pu": list("01234"), "pv.p_avail_mw": list("134")})
        ratings = ((1, 1.0, 1.1, 0.44 * 1.1), (3, 0.5, 0.5, 0.22), (4, 0.004, 0.0044, 0.3 * 0.0044))
        self.units = [
            FakeUnit("battery_2", "battery", "2", 0.5, 0.5, 0.0, 0, None),
            *(
                FakeUnit(f"pv_{n}", "pv", str(n), p, s, q, None, 1 + k, {"p_avail_mw": 9 + k})
                for k, (n, p, s, q) in enumerate(ratings)
            ),
        ]
        self.fleet = SimpleNamespace(
            units=lambda kind=None: tuple(u for u in self.units if kind in (None, u.kind)),
            neutral_action=np.zeros(4),
        )
        self.codec = BoxCodec(["battery_2.p", *(f"pv_{n}.q" for n, *_ in ratings)])
        self.neutral_action = np.zeros(4, dtype=np.float32)
        self.has_solution = False
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (4,), np.float32)
        self.observation_space = gymnasium.spaces.Box(-9.0, 9.0, (12,), np.float32)

    @property
    def scenario(self) -> FakeGrid:
        """Its own: layout, fleet and neutral action are all that policies read here."""
        return self

    def observation(self, v_pu: Any, p_mw: Any) -> Any:
        """(12,) or (rows, 12) float32 with these node voltages (..., 5) and available powers (..., 3)."""
        v, p = np.asarray(v_pu, dtype=float), np.asarray(p_mw, dtype=float)
        rows = np.broadcast_shapes(v.shape[:-1], p.shape[:-1])
        out = np.zeros((*rows, 12), dtype=np.float32)
        out[..., 4:9], out[..., 9:12] = v, p
        return out


@pytest.fixture
def fake_grid() -> FakeGrid:
    return FakeGrid()
