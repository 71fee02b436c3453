"""What stands at a node of a model with single phases: as one of three phases, by phase, or by leg."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..models import CimObject
from .models import (
    EnergyConsumer,
    EnergyConsumerPhase,
    PowerElectronicsConnection,
    PowerElectronicsConnectionPhase,
    Terminal,
)
from .network import Network

#: Nodes of a delta leg, which has the name of its first phase.
LEGS = {"A": [1, 2], "B": [2, 3], "C": [3, 1]}
#: Words of what never leaves its model: these models have no voltage bands.
ALWAYS = "vminpu=0 vmaxpu=10"
_Owner = EnergyConsumer | PowerElectronicsConnection
_Phase = EnergyConsumerPhase | PowerElectronicsConnectionPhase


Powers = tuple[float, float]
_SAME = 1e-3  # what the sum of phases may differ by from the whole, which writers round


@dataclass(frozen=True)
class Place:
    """A load or resource that is written by itself.

    Attributes:
        who: the object whose mRID it has.
        nodes: numbers of its nodes.
        delta: whether it is connected in delta.
        kv: its rated voltage.
        p_w, q_var: its powers, in the sense of the model.
        part: its part of the whole.
    """

    who: CimObject
    nodes: list[int]
    delta: bool
    kv: float
    p_w: float
    q_var: float
    part: float = 1.0


def kind(nodes: Sequence[int], delta: bool) -> str:
    """Words for the phases and the connection of what stands at these nodes."""
    phases = 1 if delta and len(nodes) == 2 else min(len(nodes), 3)
    return f"phases={phases} conn={'delta' if delta else 'wye'}"


class Places:
    """Splits what a model has in several phases.

    Args:
        net: the network.
        half_v: rated voltages of the halves behind centre taps.
    """

    def __init__(self, net: Network, half_v: Sequence[float]) -> None:
        self._net, self._half_v = net, half_v

    def of(
        self, one: _Owner, own: Sequence[_Phase], connection: str, grounded: bool, terminal: Terminal
    ) -> Iterator[Place]:
        """One place where three phases take the same, else one for each phase or leg."""
        kv, delta = self._net.nominal_v(one) / 1e3, connection == "D"
        named = [each.phase for each in own]
        self._net.nodes(one, named)  # each of them once
        whole, parts = self.powers(one, own)
        if not own or (len(set(parts)) == 1 and sorted(named) == ["A", "B", "C"]):
            star = [] if delta or grounded else [self._net.star(one.mrid, terminal)]
            yield Place(one, [1, 2, 3, *star], delta, kv, *whole)
            return
        if delta and sorted(named) == ["s1", "s2"]:
            yield Place(one, [1, 2], True, 2.0 * self._half_kv(kv), *whole)
            return
        if not (grounded or delta or all(name.startswith("s") for name in named)):
            raise self._net.refuse(one, "a star point at ground, a delta, or three phases that take the same")
        for each, powers in zip(own, parts, strict=True):
            leg = delta and each.phase in LEGS
            nodes = LEGS[each.phase] if leg else [self._net.node(each, each.phase)]
            own_kv = self._half_kv(kv) if each.phase.startswith("s") else kv if leg else kv / math.sqrt(3.0)
            who = one if len(own) == 1 else each
            yield Place(who, nodes, leg, own_kv, *powers, 1.0 / len(own))

    def powers(self, one: _Owner, own: Sequence[_Phase]) -> tuple[Powers, list[Powers]]:
        """P and Q of the whole and of its phases, whichever of them the model has, if both, then alike."""
        whole, parts = _given(one), [_given(each) for each in own]
        known = [each for each in parts if each is not None]
        if not known:
            if whole is None:
                raise self._net.refuse(one, "p, or p of its phases")
            return whole, [(whole[0] / len(own), whole[1] / len(own)) for _ in own]
        if len(known) < len(parts):
            raise self._net.refuse(one, "p of all of its phases, or of none")
        total = sum(p for p, _ in known), sum(q for _, q in known)
        for name, theirs, mine in zip("pq", whole or total, total, strict=True):
            if abs(theirs - mine) > _SAME * max(abs(theirs), abs(mine), 1.0):
                raise self._net.refuse(one, f"{name} of {mine:g}, as its phases have together", f"{theirs:g}")
        return total, known

    def _half_kv(self, kv: float) -> float:
        """Of a half behind a centre tap: what is nearest to a rated one, as base voltages differ in use."""
        rated = (self._half_v or (120.0,))[0] / 1e3
        return min((kv / math.sqrt(3.0), kv / 2.0, kv), key=lambda each: abs(each - rated))


def _given(one: _Owner | _Phase) -> Powers | None:
    """P and Q of an object, by either name; None: it has none."""
    p = one.p_w if one.p_w is not None else getattr(one, "p_fixed_w", None)
    q = one.q_var if one.q_var is not None else getattr(one, "q_fixed_var", None)
    return None if p is None and q is None else (p or 0.0, q or 0.0)
