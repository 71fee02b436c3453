"""Lines and switches of a model with single phases, as words of a script."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ..models import grouped
from .models import (
    ACLineSegment,
    ACLineSegmentPhase,
    PerLengthPhaseImpedance,
    PerLengthSequenceImpedance,
    PhaseImpedanceData,
    SwitchObject,
    SwitchPhase,
)
from .network import Network

HERTZ = 60.0  # of the script, in which susceptances become capacitances
_SWITCH = "switch=y r1=1e-4 r0=1e-4 x1=0 x0=0 c1=0 c0=0"

Matrices = tuple[NDArray[np.complex128], NDArray[np.float64]]


def lines(net: Network) -> Iterator[str]:
    """All line segments."""
    phases = grouped(net.model.of(ACLineSegmentPhase), lambda one: one.line)
    entries = grouped(net.model.of(PhaseImpedanceData), lambda one: one.matrix)
    for line in net.model.of(ACLineSegment):
        own = sorted(phases.get(line.mrid, []), key=lambda one: (one.sequence, one.phase))
        conductors = [one.phase for one in own if one.phase != "N"]
        nodes = net.nodes(line, conductors)
        z, b = _matrices(net, line, len(nodes), entries)
        start, end = net.terminals(line, 2)
        name = net.names.of(line.mrid)
        yield (
            f"new line.{name} bus1={net.bus(start, nodes)} bus2={net.bus(end, nodes)} phases={len(nodes)} "
            f"units=none length=1 rmatrix={_lower(z.real)} xmatrix={_lower(z.imag)} "
            f"cmatrix={_lower(b * 1e9 / (2.0 * math.pi * HERTZ))}"
        )
        for number, terminal in enumerate((start, end), 1):
            if not terminal.connected:
                yield f"open line.{name} {number}"


def _matrices(
    net: Network, line: ACLineSegment, size: int, entries: dict[str, list[PhaseImpedanceData]]
) -> Matrices:
    """Series impedance in ohm and susceptance in S of a whole line."""
    if not line.per_length:
        totals = line.r_ohm, line.x_ohm, line.r0_ohm, line.x0_ohm
        if any(one is None for one in totals):
            raise net.refuse(line, "PerLengthImpedance, or r, x, r0 and x0 (wire data are not read)")
        r, x, r0, x0 = (float(one or 0.0) for one in totals)
        return _of_sequences(size, complex(r, x), complex(r0, x0), line.b_s, line.b0_s)
    if line.length_m is None:
        raise net.refuse(line, "Conductor.length")
    kind = net.model.objects.get(line.per_length)
    if isinstance(kind, PerLengthSequenceImpedance):
        z1, z0 = complex(kind.r_ohm, kind.x_ohm), complex(kind.r0_ohm, kind.x0_ohm)
        z, b = _of_sequences(size, z1, z0, kind.b_s, kind.b0_s)
    else:
        matrix = net.model.get(PerLengthPhaseImpedance, line.per_length)
        if matrix.conductors != size:
            expected = f"a line of as many phases as its matrix has conductors ({matrix.conductors})"
            raise net.refuse(line, expected, str(size))
        z, b = _of_entries(net, matrix, entries.get(matrix.mrid, []))
    return z * line.length_m, b * line.length_m


def _of_sequences(size: int, z1: complex, z0: complex, b1: float, b0: float) -> Matrices:
    """Matrices of conductors that are all alike."""
    same, other = np.eye(size), np.ones((size, size)) / 3.0
    return same * z1 + other * (z0 - z1), same * b1 + other * (b0 - b1)


def _of_entries(net: Network, matrix: PerLengthPhaseImpedance, entries: list[PhaseImpedanceData]) -> Matrices:
    """Matrices from the entries of one triangle, or of both."""
    size = matrix.conductors
    z, b = np.full((size, size), np.nan + 0j), np.zeros((size, size))
    for one in entries:
        row, column = one.row - 1, one.column - 1
        if max(row, column) >= size:
            raise net.refuse(one, f"a row and a column from 1 to {size}", f"{one.row}, {one.column}")
        z[row, column] = z[column, row] = complex(one.r_ohm, one.x_ohm)
        b[row, column] = b[column, row] = one.b_s
    if np.isnan(z.real).any():
        raise net.refuse(matrix, f"entries for all of its {size} by {size} places", f"{len(entries)} entries")
    return z, b


def _lower(matrix: NDArray[np.float64]) -> str:
    rows = (" ".join(repr(float(x)) for x in row[: k + 1]) for k, row in enumerate(matrix))
    return f"[{' | '.join(rows)}]"


def switches(net: Network) -> Iterator[str]:
    """All switches; poles open by themselves where the model has them."""
    poles = grouped(net.model.of(SwitchPhase), lambda one: one.switch)
    for switch in net.model.of(SwitchObject):
        own = sorted(poles.get(switch.mrid, []), key=lambda one: one.side1)
        sides = [net.nodes(switch, [getattr(one, side) for one in own]) for side in ("side1", "side2")]
        start, end = net.terminals(switch, 2)
        name = net.names.of(switch.mrid)
        yield (
            f"new line.{name} bus1={net.bus(start, sides[0])} bus2={net.bus(end, sides[1])} "
            f"phases={len(sides[0])} {_SWITCH}"
        )
        whole = not (start.connected and end.connected) or switch.is_open
        if whole or (own and not any(one.closed for one in own)):
            yield f"open line.{name} 1"
            continue
        yield from (f"open line.{name} 1 {k}" for k, one in enumerate(own, 1) if not one.closed)
