"""Domain randomisation: what differs from episode to episode beside the day, as frozen data.

Every row draws from its own generator when its episode begins, so that a row of a batch has what a single
environment with its seed has. What was drawn is part of the state of a row. Agents do not see it, unless a
task lists the block `RandomisedFactors`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from ..resources.base import check_number

#: The most networks that are compiled for one environment.
MAX_NETWORKS = 256
_LEAST, _MOST = 1e-3, 1e3

Range = tuple[float, float]
_ONE: Range = (1.0, 1.0)


@dataclass(frozen=True)
class SwitchStates:
    """Switches that stand otherwise than in the case; all others are as there.

    Attributes:
        close: ids of switches, or of branches, that are closed.
        open: ids of those that are open.

    Raises:
        ValueError: an id is listed twice.
    """

    close: Sequence[str] = ()
    open: Sequence[str] = ()

    def __post_init__(self) -> None:
        for name in ("close", "open"):
            object.__setattr__(self, name, _names(f"SwitchStates: {name}", getattr(self, name)))
        listed = [*self.close, *self.open]
        twice = sorted({one for one in listed if listed.count(one) > 1})
        if twice:
            raise ValueError(f"SwitchStates: {twice[0]!r} is listed twice")

    def __str__(self) -> str:
        words = [
            f"{verb} {', '.join(ids)}" for verb, ids in (("close", self.close), ("open", self.open)) if ids
        ]
        return "; ".join(words) or "as in the case"


@dataclass(frozen=True)
class Randomisation:
    """What each episode draws anew. Ranges are (low, high) of numbers drawn evenly between them.

    Lines and switches belong to a network, and networks take time to compile: so many as ``networks`` says
    are made of each entry of ``topologies`` when the environment is made, drawn by ``seed`` (the same in
    training and test), and each episode plays one of them.

    Attributes:
        load_growth: factor of all loads in an episode.
        line_r: factor of the resistance of each line alone.
        line_x: factor of the reactance of each line alone.
        line_length: one factor of both for all lines of a network.
        networks: draws of the lines for each topology; 1 where no line is drawn.
        topologies: states of switches, one of which an episode has; each must be radial and feed every node.
            None: that of the case. That of the case is ``SwitchStates()``.
        price_scale: factor of all prices in an episode.
        price_shift_usd_mwh: what is added to them then.
        seed: of the networks.

    Raises:
        ValueError: a factor that is not above 0, a range whose low end is above its high end, or more than
            256 networks.
    """

    load_growth: Range = _ONE
    line_r: Range = _ONE
    line_x: Range = _ONE
    line_length: Range = _ONE
    networks: int = 8
    topologies: Sequence[SwitchStates] | None = None
    price_scale: Range = _ONE
    price_shift_usd_mwh: Range = (0.0, 0.0)
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("load_growth", "line_r", "line_x", "line_length", "price_scale"):
            object.__setattr__(self, name, _range(name, getattr(self, name), _LEAST, _MOST))
        shift = _range("price_shift_usd_mwh", self.price_shift_usd_mwh, -1e5, 1e5)
        object.__setattr__(self, "price_shift_usd_mwh", shift)
        for name, least in (("networks", 1), ("seed", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ValueError(
                    f"Randomisation: {name} must be a whole number of at least {least}, got {value!r}"
                )
        if self.topologies is not None:
            object.__setattr__(self, "topologies", _topologies(self.topologies))
        if self.n_networks > MAX_NETWORKS:
            raise ValueError(
                f"Randomisation: {self.n_networks} networks would be compiled, at most {MAX_NETWORKS} may "
                "be: lower networks, or list fewer topologies"
            )

    @property
    def varies_lines(self) -> bool:
        """Whether lines are drawn."""
        return any(getattr(self, name) != _ONE for name in ("line_r", "line_x", "line_length"))

    @property
    def states(self) -> tuple[SwitchStates, ...]:
        """The topologies, that of the case where none are listed."""
        return (SwitchStates(),) if self.topologies is None else tuple(self.topologies)

    @property
    def draws_per_topology(self) -> int:
        """Networks of each topology."""
        return self.networks if self.varies_lines else 1

    @property
    def n_networks(self) -> int:
        """Networks that are compiled."""
        return len(self.states) * self.draws_per_topology

    @property
    def varies_network(self) -> bool:
        """Whether episodes are played on other networks than that of the case."""
        return self.varies_lines or self.topologies is not None

    @property
    def varies_prices(self) -> bool:
        """Whether prices are drawn."""
        return self.price_scale != _ONE or self.price_shift_usd_mwh != (0.0, 0.0)


def checked_randomisation(given: object) -> Randomisation | None:
    """The randomisation; a mapping, as JSON has it, becomes what it was. TypeError for other things."""
    if given is None or isinstance(given, Randomisation):
        return given
    if isinstance(given, Mapping):
        known = {item.name for item in fields(Randomisation)}
        for name in given:
            if name not in known:
                raise TypeError(
                    f"randomise has no field {name!r}: expected some of {', '.join(sorted(known))}"
                )
        return Randomisation(**given)
    raise TypeError(f"randomise must be a Randomisation or None, got {type(given).__name__}")


def _range(name: str, value: Any, low: float, high: float) -> Range:
    who = "Randomisation"
    if isinstance(value, str) or not isinstance(value, Sequence) or len(value) != 2:
        raise ValueError(f"{who}: {name} must be (low, high), got {value!r}")
    for one in value:
        check_number(who, name, one, low, high)
    first, last = float(value[0]), float(value[1])
    if first > last:
        raise ValueError(f"{who}: {name} must be (low, high) with low at most high, got {value!r}")
    return first, last


def _topologies(given: object) -> tuple[SwitchStates, ...]:
    if isinstance(given, str | Mapping | SwitchStates) or not isinstance(given, Iterable):
        raise ValueError(f"Randomisation: topologies must be a list of SwitchStates, got {given!r}")
    found = tuple(SwitchStates(**one) if isinstance(one, Mapping) else one for one in given)
    for one in found:
        if not isinstance(one, SwitchStates):
            raise ValueError(f"Randomisation: topologies must be SwitchStates, one of them is {one!r}")
    if not found:
        raise ValueError("Randomisation: topologies is empty: an episode needs one")
    return found


def _names(what: str, given: object) -> tuple[str, ...]:
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise ValueError(f"{what} must be a list of ids, got {given!r}")
    return tuple(str(one) for one in given)


def widest(values: Range) -> float:
    """The largest size that a factor can have."""
    return max(math.fabs(values[0]), math.fabs(values[1]))
