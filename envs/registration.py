"""Registered environments: ids, and the fleets that stand behind them, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gymnasium as gym
from gymnasium.vector import VectorEnv

from .resources import PV, Battery, ResourceSpec
from .tasks import LossMinimisation, Task, VoltVar

NAMESPACE = "distgrid"


@dataclass(frozen=True)
class Entry:
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
        return fleet


def _sites(sizes: dict[str, float]) -> tuple[tuple[str, float, int], ...]:
    """Units with cloud sites spread over the 25 of the data."""
    return tuple((bus, p, (7 * i + 1) % 25) for i, (bus, p) in enumerate(sizes.items()))


def _bare(name: str, case: str, batteries: dict[str, float], inverters: dict[str, float]) -> Entry:
    return Entry(
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
) -> Entry:
    return Entry(
        name=f"VoltVar-{name}", version=0, case=case, task=VoltVar(),
        batteries=tuple((bus, p, 4.0 * p) for bus, p in batteries.items()), inverters=_sites(inverters),
        inverter_controls="q", load_scale=load_scale, v_source_pu=v_source_pu,
        summary="smart inverters and a battery group hold voltages in 0.95-1.05 pu at little loss",
    )  # fmt: skip


ENTRIES: tuple[Entry, ...] = (
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
)  # fmt: skip


def register_all() -> None:
    """Register every entry with Gymnasium; doing it again changes nothing."""
    for entry in ENTRIES:
        if entry.id not in gym.registry:
            gym.register(
                id=entry.id,
                entry_point="distgrid.envs.registration:create",
                vector_entry_point="distgrid.envs.registration:create_vector",
                kwargs={"entry": entry.name},
            )


def create(entry: str, **options: Any) -> gym.Env[Any, Any]:
    """Entry point of all registered ids: ``entry`` is a name in ``ENTRIES``.

    ``options`` are the arguments of ``DistGridEnv`` and replace those of the entry.
    """
    from .dist import DistGridEnv

    return DistGridEnv(**(_arguments(entry) | options))


def create_vector(entry: str, num_envs: int = 1, **options: Any) -> VectorEnv[Any, Any, Any]:
    """Vector entry point of all registered ids; ``options`` are the arguments of ``DistGridVectorEnv``."""
    from .vector import DistGridVectorEnv

    return DistGridVectorEnv(num_envs=num_envs, **(_arguments(entry) | options))


def _arguments(entry: str) -> dict[str, Any]:
    """What an entry is made of, as arguments of its environment."""
    found = next(e for e in ENTRIES if e.name == entry)
    return {
        "case": found.case, "resources": found.resources(), "task": found.task,
        "load_scale": found.load_scale,
        "v_source_pu": found.v_source_pu,
    }  # fmt: skip
