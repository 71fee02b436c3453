"""The parts that the tables of a feeder are made of, as a circuit has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ...errors import CaseError, Problem


def listed(names: Sequence[str], most: int = 5) -> str:
    """The first of some names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


@dataclass(frozen=True)
class Place:
    """Where an element comes from, for errors: file and line, or the file alone."""

    file: str
    line: int | None

    def error(self, where: str, value: str, expected: str) -> CaseError:
        """The error to raise about something that stands here."""
        return CaseError([Problem(self.file, self.line, where, value, expected)])


@dataclass(frozen=True)
class Wire:
    """A line, switch or series reactor between two buses."""

    name: str
    buses: tuple[str, str]
    nodes: tuple[int, ...]  # in the order of the matrices
    z_ohm: np.ndarray  # (phases, phases) complex
    c_nf: np.ndarray
    is_switch: bool
    closed: bool  # at one end at least
    open_at: str  # the bus at whose side it is open while it is closed at the other; empty if there is none
    amps: float | None
    length_km: float | None
    place: Place


@dataclass(frozen=True)
class Winding:
    """One winding of a transformer as OpenDSS has it."""

    conn: str  # wye or delta, whatever it stands between
    kv: float
    kva: float
    tap: float = 1.0
    r_pct: float = 0.0
    min_tap: float = 0.9
    max_tap: float = 1.1
    steps: int = 32


@dataclass(frozen=True)
class Unit:
    """A row of the transformers table in the making."""

    name: str
    bank: str
    buses: tuple[str, str]
    terminals: tuple[tuple[int, ...], tuple[int, ...]]  # phases in winding order; (1, 2) behind a centre tap
    connection: str
    phases: int
    kv: tuple[float, float]
    kva: float
    r_pct: tuple[float, ...]  # of each winding
    x_pct: tuple[float, ...]  # high to leg 1; centre-tap also high to leg 2, leg 1 to leg 2
    taps: tuple[float, float]
    lag_deg: float
    noload_pct: float
    imag_pct: float
    ppm: float
    windings: tuple[Winding, ...]
    place: Place
    closed: bool = True

    def turned(self) -> Unit:
        """The same unit of two windings, from the second winding to the first."""
        from_kind, to_kind = self.connection.split("-")
        return replace(
            self,
            buses=self.buses[::-1],
            terminals=self.terminals[::-1],
            connection=f"{to_kind}-{from_kind}",
            kv=self.kv[::-1],
            r_pct=self.r_pct[::-1],
            taps=self.taps[::-1],
            lag_deg=-self.lag_deg if self.lag_deg else 0.0,
            windings=self.windings[::-1],
        )


@dataclass(frozen=True)
class Shunt:
    """A load or capacitor; powers are at the rated voltage `part_kv` between the ends of each part."""

    name: str
    bus: str
    nodes: tuple[int, ...]  # phases of a wye, in order; both ends of a leg; all three of a delta
    connection: str
    part_kv: float  # rated voltage across one part
    p_mw: float
    q_mvar: float
    shares: tuple[float, float, float, float]  # constant impedance and current, of P and then of Q
    exponents: tuple[float, float] | None
    v_low: float
    v_high: float
    on: bool
    place: Place


@dataclass(frozen=True)
class Feed:
    """The source: a balanced voltage behind an impedance."""

    name: str
    bus: str
    base_kv: float
    v_pu: float
    v_deg: float
    z_ohm: np.ndarray  # (3, 3) complex
    place: Place


@dataclass(frozen=True)
class TapControl:
    """A regulator control."""

    name: str
    unit: Unit  # its last winding is the one with the taps
    settings: Mapping[str, float]  # by the column of the regulators table
    flags: Mapping[str, bool]
    monitored: int  # which phase of the winding
    place: Place


@dataclass(frozen=True)
class BankControl:
    """A capacitor control."""

    name: str
    capacitor: str
    line: str
    end: str
    phase: int
    kind: str
    settings: Mapping[str, float]  # by the column of the cap_controls table
    v_override: bool
    place: Place


@dataclass
class Parts:
    """Wires, units, devices and controls of one circuit.

    Attributes:
        off: names of wires that are disabled; they are kept where they can be closed, or lead to a load.
    """

    name: str
    hz: float
    v_min: float
    v_max: float
    kv_bases: Sequence[float] | None
    coordinates: Mapping[str, tuple[float, float]]
    sources: list[Feed]  # one for each island
    wires: list[Wire]
    off: set[str]
    units: list[Unit]
    tap_controls: list[TapControl]
    bank_controls: list[BankControl]
    loads: list[Shunt]
    capacitors: list[Shunt]
    notes: list[str]
    disabled: Mapping[str, list[str]] = field(default_factory=dict)  # names by class
