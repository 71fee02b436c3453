"""Registered environments: ids, and the fleets that stand behind them, as data."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import gymnasium as gym
from gymnasium.vector import VectorEnv

from ..cases.profiles import DT_H
from .core.options import priced_options
from .resources import PV, Battery, CapacitorBank, ResourceSpec, TapChanger
from .tasks import LossMinimisation, Task, VoltVar, VoltVar3
from .tasks.base import unpriced

NAMESPACE = "distgrid"


@dataclass(frozen=True)
class RegisteredEnv:
    """One registered environment."""

    name: str  # without namespace and version
    version: int
    case: str
    task: Task
    batteries: tuple[tuple[str, float, float], ...]  # bus, MW, MWh
    inverters: tuple[tuple[str, float, int], ...]  # bus, MW of PV, site of the cloud field
    inverter_controls: str
    load_scale: float  # growth of all loads over the case's nominal values
    v_source_pu: float  # setpoint of the substation
    summary: str
    per_phase: bool = False  # DistGrid3PhaseEnv instead of DistGridEnv
    others: tuple[ResourceSpec, ...] = ()  # after batteries and inverters

    @property
    def id(self) -> str:
        """The id that ``gymnasium.make`` takes."""
        return f"{NAMESPACE}/{self.name}-v{self.version}"

    def resources(self) -> list[ResourceSpec]:
        """Fresh specs of the fleet."""
        fleet: list[ResourceSpec] = [Battery(bus, p_mw=p, energy_mwh=e) for bus, p, e in self.batteries]
        fleet += [
            PV(bus, p_mw=p, site=site, controls=self.inverter_controls) for bus, p, site in self.inverters
        ]
        return [*fleet, *self.others]


def _sites(sizes: dict[str, float]) -> tuple[tuple[str, float, int], ...]:
    """Units with cloud sites spread over the 25 of the data."""
    return tuple((bus, p, (7 * i + 1) % 25) for i, (bus, p) in enumerate(sizes.items()))


def _bare(name: str, case: str, batteries: dict[str, float], inverters: dict[str, float]) -> RegisteredEnv:
    return RegisteredEnv(
        name=f"DistGrid-{name}", version=0, case=case, task=LossMinimisation(),
        batteries=tuple((bus, p, 4.0 * p) for bus, p in batteries.items()), inverters=_sites(inverters),
        inverter_controls="pq", load_scale=1.0, v_source_pu=1.0,
        summary="bare environment: four batteries and four PV inverters, reward from losses alone",
    )  # fmt: skip


def _volt_var(
    name: str,
    case: str,
    batteries: dict[str, float],
    inverters: dict[str, float],
    load_scale: float,
    v_source_pu: float,
) -> RegisteredEnv:
    return RegisteredEnv(
        name=f"VoltVar-{name}", version=0, case=case, task=VoltVar(),
        batteries=tuple((bus, p, 4.0 * p) for bus, p in batteries.items()), inverters=_sites(inverters),
        inverter_controls="q", load_scale=load_scale, v_source_pu=v_source_pu,
        summary="smart inverters and a battery group hold voltages in 0.95-1.05 pu at little loss",
    )  # fmt: skip


_Phased = tuple[tuple[str, str, float], ...]  # bus, phase, MW


def _bare3(case: str, batteries: _Phased, inverters: _Phased, v_source_pu: float) -> RegisteredEnv:
    return RegisteredEnv(
        name=f"DistGrid3Phase-{case}", version=0, case=case, task=LossMinimisation(), batteries=(),
        inverters=(), inverter_controls="pq", load_scale=1.0, v_source_pu=v_source_pu, per_phase=True,
        others=(
            *(Battery(bus, p_mw=p, energy_mwh=4.0 * p, phase=phase) for bus, phase, p in batteries),
            *_roofs(inverters, "pq"),
        ),
        summary="bare environment, phase by phase: batteries and single-phase PV, reward from losses alone",
    )  # fmt: skip


def _volt_var3(
    case: str,
    regulators: tuple[str, ...],
    banks: tuple[str, ...],
    inverters: _Phased,
    load_scale: float,
    v_source_pu: float,
    vuf_max_pct: float,
) -> RegisteredEnv:
    return RegisteredEnv(
        name=f"VoltVar3-{case}", version=0, case=case, task=VoltVar3(vuf_max_pct=vuf_max_pct), batteries=(),
        inverters=(), inverter_controls="q", load_scale=load_scale, v_source_pu=v_source_pu, per_phase=True,
        others=(
            *(TapChanger(name, max_steps=4) for name in regulators), *(CapacitorBank(name) for name in banks),
            *_roofs(inverters, "q"),
        ),
        summary="taps per phase, capacitor banks and single-phase inverters hold voltages and their balance",
    )  # fmt: skip


def _roofs(inverters: _Phased, controls: str) -> tuple[ResourceSpec, ...]:
    """Single-phase PV with cloud sites spread over the 25 of the data."""
    return tuple(
        PV(bus, p_mw=p, site=(7 * i + 1) % 25, controls=controls, phase=phase)
        for i, (bus, phase, p) in enumerate(inverters)
    )


#: What a failed power flow takes from the reward, and its cost: a quarter above the worst day of a search,
#: see tools/search_failure_price.py.
_PRICES: dict[str, tuple[float, float]] = {
    "distgrid/DistGrid-33bw-v0": (3.0, 14.0),
    "distgrid/DistGrid-118zh-v0": (16.0, 280.0),
    "distgrid/DistGrid-141-v0": (7.9, 190.0),
    "distgrid/DistGrid-533mt_hi-v0": (6.5, 0.016),
    "distgrid/VoltVar-33bw-v0": (340.0, 170.0),
    "distgrid/VoltVar-141-v0": (610.0, 660.0),
    "distgrid/DistGrid3Phase-ieee13-v0": (1.4, 240.0),
    "distgrid/DistGrid3Phase-ieee34-v0": (2.9, 2700.0),
    "distgrid/DistGrid3Phase-ieee37-v0": (1.4, 6500.0),
    "distgrid/DistGrid3Phase-ieee123-v0": (1.0, 67.0),
    "distgrid/DistGrid3Phase-european_lv-v0": (0.012, 5.7),
    "distgrid/VoltVar3-ieee13-v0": (2100.0, 15000.0),
    "distgrid/VoltVar3-ieee123-v0": (1500.0, 43000.0),
}


def _with_prices(entry: RegisteredEnv) -> RegisteredEnv:
    price, cost = _PRICES[entry.id]
    return replace(entry, task=replace(entry.task, failure_price=price, failure_cost=cost))


_SCENARIOS: tuple[RegisteredEnv, ...] = (
    _bare(
        "33bw", "case33bw",
        {"18": 0.2, "22": 0.2, "25": 0.3, "33": 0.3}, {"14": 0.4, "21": 0.4, "24": 0.8, "31": 0.6},
    ),
    _bare(
        "118zh", "case118zh",
        {"27": 0.5, "54": 0.8, "77": 0.8, "111": 0.8}, {"20": 1.0, "50": 1.5, "76": 1.5, "109": 1.5},
    ),
    _bare(
        "141", "case141",
        {"26": 0.8, "69": 0.8, "87": 0.8, "112": 0.8}, {"32": 1.0, "62": 1.5, "80": 1.5, "107": 1.5},
    ),
    _bare(
        "533mt_hi", "case533mt_hi",
        {"100": 1.0, "200": 1.0, "350": 1.0, "500": 1.0}, {"150": 2.0, "250": 2.0, "400": 2.0, "520": 2.0},
    ),
    _volt_var(
        "33bw", "case33bw", {"18": 0.3, "25": 0.5, "33": 0.5},
        {"8": 0.65, "11": 0.39, "14": 0.455, "16": 0.39, "18": 0.39, "21": 0.52, "24": 1.17, "25": 0.91,
         "28": 0.52, "30": 0.78, "31": 0.65, "33": 0.585}, load_scale=1.4, v_source_pu=1.02,
    ),
    _volt_var(
        "141", "case141", {"65": 1.0, "80": 1.0, "87": 1.0},
        dict.fromkeys(("87", "84", "82", "76", "65", "69", "56", "74", "62", "80"), 2.2),
        load_scale=1.7, v_source_pu=1.01,
    ),
    _bare3(
        "ieee13", (("671", "ABC", 0.3), ("675", "A", 0.1), ("611", "C", 0.1), ("646", "BC", 0.1)),
        (("652", "A", 0.15), ("645", "B", 0.2), ("611", "C", 0.15), ("692", "C", 0.2)), v_source_pu=0.98,
    ),
    _bare3(
        "ieee34", (("844", "ABC", 0.15), ("890", "ABC", 0.15), ("822", "A", 0.04), ("838", "B", 0.03)),
        (("820", "A", 0.1), ("826", "B", 0.05), ("860", "C", 0.06), ("848", "A", 0.06)), v_source_pu=0.95,
    ),
    _bare3(
        "ieee37", (("701", "ABC", 0.2), ("737", "AB", 0.1), ("722", "BC", 0.1), ("742", "CA", 0.05)),
        (("712", "CA", 0.1), ("728", "AB", 0.1), ("735", "BC", 0.1), ("744", "AB", 0.05)), v_source_pu=0.98,
    ),
    _bare3(
        "ieee123",
        (("48", "ABC", 0.15), ("76", "ABC", 0.15), ("65", "AB", 0.1), ("47", "ABC", 0.1), ("114", "A", 0.03),
         ("22", "B", 0.04), ("104", "C", 0.04), ("71", "A", 0.04)),
        (("9", "A", 0.05), ("19", "A", 0.05), ("43", "B", 0.05), ("59", "B", 0.04), ("6", "C", 0.05),
         ("41", "C", 0.04), ("51", "A", 0.06), ("68", "A", 0.04), ("75", "C", 0.06), ("85", "C", 0.05),
         ("96", "B", 0.04), ("107", "B", 0.06)), v_source_pu=0.96,
    ),
    _bare3(
        "european_lv", (("349", "A", 0.003), ("639", "B", 0.003), ("817", "A", 0.003), ("896", "A", 0.003)),
        (("208", "C", 0.004), ("320", "C", 0.004), ("563", "A", 0.004), ("682", "B", 0.004),
         ("755", "B", 0.004), ("906", "A", 0.004)), v_source_pu=1.05,
    ),
    _volt_var3(
        "ieee13", ("reg1", "reg2", "reg3"), ("cap1", "cap2"),
        (("671", "A", 0.7), ("652", "A", 0.25), ("675", "A", 0.5), ("645", "B", 0.3), ("646", "B", 0.3),
         ("671", "B", 0.3), ("611", "C", 0.3), ("675", "C", 0.5), ("684", "C", 0.3), ("634", "A", 0.25)),
        load_scale=1.4, v_source_pu=0.97, vuf_max_pct=1.25,
    ),
    _volt_var3(
        "ieee123", ("creg1a", "creg2a", "creg3a", "creg3c", "creg4a", "creg4b", "creg4c"),
        ("c83", "c88a", "c90b", "c92c"),
        (("47", "A", 0.3), ("48", "A", 0.25), ("65", "A", 0.35), ("76", "A", 0.35), ("66", "B", 0.2),
         ("86", "B", 0.2), ("95", "B", 0.2), ("99", "C", 0.25), ("51", "C", 0.2), ("108", "C", 0.2),
         ("114", "A", 0.15), ("32", "C", 0.15)), load_scale=1.5, v_source_pu=1.0, vuf_max_pct=1.0,
    ),
)  # fmt: skip

ENTRIES: tuple[RegisteredEnv, ...] = tuple(_with_prices(entry) for entry in _SCENARIOS)


def register_all() -> None:
    """Register every entry with Gymnasium; doing it again changes nothing."""
    for entry in ENTRIES:
        if entry.id not in gym.registry:
            gym.register(
                id=entry.id,
                entry_point="distgrid.envs.registration:create",
                vector_entry_point="distgrid.envs.registration:create_vector",
                max_episode_steps=entry.task.episode.steps(DT_H),
                kwargs={"entry": entry.id},
            )


class _Creator:
    """Makes the single environment of an id; ``metadata`` lets Gymnasium wrap it for other render modes."""

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array", "human"], "render_fps": 8}

    def __call__(self, entry: str, **options: Any) -> gym.Env[Any, Any]:
        """``options`` are the arguments of the environment and replace those of the entry."""
        from .dist import DistGridEnv
        from .dist3 import DistGrid3PhaseEnv

        found = _entry(entry)
        face = DistGrid3PhaseEnv if found.per_phase else DistGridEnv
        return face(**_arguments(found, options))


#: RegisteredEnv point of all registered ids: ``create("distgrid/VoltVar-33bw-v0", split="test")``.
create = _Creator()


def create_vector(entry: str, num_envs: int = 1, **options: Any) -> VectorEnv[Any, Any, Any]:
    """Vector entry point of all registered ids; ``options`` are the arguments of the vector environment."""
    from .vector import DistGridVectorEnv
    from .vector3 import DistGrid3PhaseVectorEnv

    found = _entry(entry)
    face = DistGrid3PhaseVectorEnv if found.per_phase else DistGridVectorEnv
    return face(num_envs=num_envs, **_arguments(found, options))


def _entry(identity: str) -> RegisteredEnv:
    """The entry of an id, version and all; ValueError with the nearest ids for another one."""
    known = {entry.id: entry for entry in ENTRIES}
    if identity not in known:
        near = difflib.get_close_matches(identity, known, n=3, cutoff=0.3)
        raise ValueError(f"no environment {identity!r}; did you mean {' or '.join(near) or 'another'}?")
    return known[identity]


def _arguments(entry: RegisteredEnv, options: Mapping[str, Any]) -> dict[str, Any]:
    """What an entry is made of, as arguments of its environment, with ``options`` in their place."""
    task = unpriced(entry.task) if priced_options() & options.keys() else entry.task
    own: dict[str, Any] = {
        "case": entry.case, "resources": entry.resources(), "task": task, "load_scale": entry.load_scale,
        "v_source_pu": entry.v_source_pu,
    }  # fmt: skip
    if options.get("load") is not None:
        del own["load_scale"]  # it is for the loads of the case
    return own | dict(options)
