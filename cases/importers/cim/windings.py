"""Windings of CIM transformers in per unit, joined in pairs or around a star point.

Each end has its own series impedance and admittance at its own rated voltage (IEC 61970-301). Two ends are
one branch; three are three branches around an inner node, on the base voltage of the first end's node.
"""

from __future__ import annotations

from typing import NamedTuple

from . import models as cim
from .tap_ratios import TapRatios

BASE_MVA = 1.0


class Winding(NamedTuple):
    """One end of a transformer."""

    end: cim.PowerTransformerEnd
    node: str
    ratio: float  # its voltage with its tap, over the base of its node
    z: complex  # pu at its own voltage
    y: complex  # what it draws, pu at its node


class Series(NamedTuple):
    """The series part of a branch: impedance in pu at its to end, ratio and shift of its from end."""

    z: complex
    tap: float
    shift_deg: float


def winding(end: cim.PowerTransformerEnd, node: str, kv: float, taps: TapRatios) -> Winding:
    """A winding at a node of this base voltage."""
    tap = taps.of(end.mrid)
    ratio = end.rated_kv * tap.ratio / kv
    z = complex(end.r_ohm * tap.r, end.x_ohm * tap.x) * BASE_MVA / end.rated_kv**2
    y = complex(end.g_s * tap.g, end.b_s * tap.b) * end.rated_kv**2 / BASE_MVA / ratio**2
    return Winding(end, node, ratio, z, y)


def pair(first: Winding, second: Winding) -> Series:
    """Two windings in series, from the first to the second."""
    z = (first.z + second.z) * second.ratio**2
    return Series(z, first.ratio / second.ratio, _lead_deg(first.end, second.end))


def to_star(one: Winding, first: Winding) -> Series:
    """A winding and the star point, whose angle is that of the first winding."""
    return Series(one.z, one.ratio, _lead_deg(one.end, first.end))


def _lead_deg(one: cim.PowerTransformerEnd, other: cim.PowerTransformerEnd) -> float:
    """Degrees by which an end leads another one, from the clocks of both."""
    hours = (other.clock - one.clock) % 12
    return 30.0 * (hours - 12 if hours > 6 else hours)
