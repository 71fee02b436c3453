"""Loads and banks of a model with single phases, as words of a script."""

from __future__ import annotations

from collections.abc import Iterator

from ..models import CimObject, grouped
from .models import (
    EnergyConsumer,
    EnergyConsumerPhase,
    LinearShuntCompensator,
    LinearShuntCompensatorPhase,
    LoadResponseCharacteristic,
    Terminal,
)
from .network import Network
from .places import ALWAYS, LEGS, Places, kind


def loads(net: Network, places: Places) -> Iterator[str]:
    """Loads: as one where three phases take the same, else by phase."""
    phases = grouped(net.model.of(EnergyConsumerPhase), lambda one: one.owner)
    for load in net.model.of(EnergyConsumer):
        (terminal,) = net.terminals(load, 1)
        words = f"{_response(net, load)} {ALWAYS} vlowpu=0"
        for at in places.of(load, phases.get(load.mrid, []), load.connection, load.grounded, terminal):
            if terminal.connected:
                place = f"bus1={net.bus(terminal, at.nodes)} {kind(at.nodes, at.delta)} kv={at.kv!r}"
                powers = f"kw={at.p_w / 1e3!r} kvar={at.q_var / 1e3!r}"
                yield f"new load.{net.names.of(at.who.mrid)} {place} {powers} {words}"


def _response(net: Network, load: EnergyConsumer) -> str:
    """How a load depends on its voltage."""
    if not load.response:
        return "model=1"
    how = net.model.get(LoadResponseCharacteristic, load.response)
    if how.exponents:
        return f"model=4 cvrwatts={how.p_exponent!r} cvrvars={how.q_exponent!r}"
    shares: list[float] = []
    for parts in ((how.p_z, how.p_i, how.p_p), (how.q_z, how.q_i, how.q_p)):
        total = sum(parts)
        shares += [part / total for part in parts] if total else [0.0, 0.0, 1.0]
    if shares == [0.0, 0.0, 1.0] * 2:
        return "model=1"
    return f"model=8 zipv=[{' '.join(map(repr, shares))} 0]"


def banks(net: Network) -> Iterator[str]:
    """Banks of capacitors; without sections in use they are open."""
    phases = grouped(net.model.of(LinearShuntCompensatorPhase), lambda one: one.owner)
    for bank in net.model.of(LinearShuntCompensator):
        (terminal,) = net.terminals(bank, 1)
        own, delta = phases.get(bank.mrid, []), bank.connection == "D"
        net.nodes(bank, [each.phase for each in own])  # each of them once
        if not terminal.connected:
            continue
        alike = len({(each.b_s, each.sections) for each in own}) == 1
        if not own or (alike and sorted(each.phase for each in own) == ["A", "B", "C"]):
            yield _bank(net, bank, own[0] if own else bank, bank, terminal, [1, 2, 3])
            continue
        if not (bank.grounded or delta):
            raise net.refuse(bank, "a star point at ground, a delta, or three phases that are alike")
        for each in own:
            leg = delta and each.phase in LEGS
            nodes = LEGS[each.phase] if leg else [net.node(each, each.phase)]
            yield _bank(net, bank, each, bank if len(own) == 1 else each, terminal, nodes)


def _bank(
    net: Network, bank: LinearShuntCompensator, part: LinearShuntCompensator | LinearShuntCompensatorPhase,
    who: CimObject, terminal: Terminal, nodes: list[int],
) -> str:  # fmt: skip
    """A bank, or a phase of it, of the sections in use."""
    kv, delta = bank.nominal_v / 1e3, bank.connection == "D"
    kvar = part.b_s * (part.sections or part.most) * kv * kv * 1e3
    star = ""
    if not delta and not bank.grounded:
        star = f"bus2={net.bus(terminal, [net.star(bank.mrid, terminal)] * 3)} "
    return (
        f"new capacitor.{net.names.of(who.mrid)} bus1={net.bus(terminal, nodes)} {star}{kind(nodes, delta)} "
        f"kv={kv!r} kvar={kvar!r} numsteps=1 states=[{int(part.sections > 0)}]"
    )
