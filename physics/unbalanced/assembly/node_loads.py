"""What stands at the nodes of a per-phase feeder: loads, capacitor banks, fixed shunts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ....cases.model.feeder import Feeder
from ....cases.phases import places
from ....cases.schema import SPLIT_PHASES
from ..kernel_tables import CONSTANT, CURVED, ITEM_COEFS, POLYNOMIAL, FloatArray, IntArray
from .forest import BoolArray, Conductor

#: Legs of a delta, as pairs of phases: leg AB takes column 0 of (bus, 3) arrays, BC 1, CA 2.
LEGS = ((0, 1), (1, 2), (2, 0))
Key = tuple[float, ...]  # z_p, i_p, z_q, i_q, cvr_p, cvr_q, low, high, rated
_PLAIN: Key = (0.0, 0.0, 0.0, 0.0, np.nan, np.nan, 0.0, np.inf, 1.0)


class Lists(NamedTuple):
    """The part of a program that lists draws."""

    cap: IntArray
    cap_b: FloatArray
    item: IntArray
    item_coef: FloatArray
    n_item: IntArray


class Item(NamedTuple):
    """A share in the power of a slot; a plain leg takes what is injected there, too."""

    slot: int
    p_share: float
    q_share: float
    model: Key
    plain: bool


class Bank(NamedTuple):
    """One phase or leg of a capacitor bank."""

    row: int
    node: int
    place: int
    delta: bool
    b_pu: float


@dataclass(frozen=True, eq=False)
class NodeLoads:
    """Loads and banks by slot: 3 * node row + phase (wye) or + leg (delta)."""

    n_bus: int
    base_mva: float
    present: BoolArray  # (n_bus, 3) phases of the node
    leg_present: BoolArray  # (n_bus, 3)
    wye_p_mw: FloatArray  # (n_bus, 3) nominal
    wye_q_mvar: FloatArray
    delta_p_mw: FloatArray
    delta_q_mvar: FloatArray
    constant: FloatArray  # (2, 3 n_bus) share of wye P and Q that is constant power
    wye_items: list[Item]
    leg_items: list[Item]  # legs with a nominal load
    more_legs: list[Item]  # the other legs
    banks: list[Bank]
    leg_pu: FloatArray  # (n_bus,) what stands between two phases at 1 pu: sqrt 3, or 2 between hot legs

    def placed(self, conductor: dict[Conductor, int]) -> Lists:
        """The lists for one numbering; what stands at dead phases is left out."""
        caps, cap_b = [], []
        for bank in self.banks:
            ends = self._ends(3 * bank.node + bank.place, bank.delta, conductor)
            if ends is not None:
                caps.append((*ends, bank.row))
                cap_b.append(bank.b_pu)
        rows, coefs, counts = [], [], []
        for items, delta in ((self.wye_items, False), (self.leg_items, True), (self.more_legs, True)):
            for item in items:
                ends = self._ends(item.slot, delta, conductor)
                if ends is not None:
                    rows.append((*ends, item.slot, int(item.plain)))
                    scale = 1.0 / self.leg_pu[item.slot // 3] if delta else 1.0
                    coefs.append((item.p_share, item.q_share, *item.model, _kind(item), scale))
            counts.append(len(rows))
        return Lists(
            np.array(caps, dtype=np.int64).reshape(-1, 3),
            np.array(cap_b, dtype=np.float64),
            np.array(rows, dtype=np.int64).reshape(-1, 4),
            np.array(coefs, dtype=np.float64).reshape(-1, ITEM_COEFS),
            np.array(counts, dtype=np.int64),
        )

    @staticmethod
    def _ends(slot: int, delta: bool, conductor: dict[Conductor, int]) -> tuple[int, int] | None:
        node, place = divmod(slot, 3)
        first = conductor.get((node, LEGS[place][0] if delta else place), -1)
        second = conductor.get((node, LEGS[place][1]), -1) if delta else 0
        if first < 0 or second < 0:
            return None
        return first, second if delta else -1


def _kind(item: Item) -> float:
    """Which code an item needs."""
    if item.plain:
        return CONSTANT
    *_, cvr_p, cvr_q, low, high, _ = item.model
    return POLYNOMIAL if np.isnan(cvr_p) and np.isnan(cvr_q) and low == 0 and np.isinf(high) else CURVED


def leg_of(phase: str) -> tuple[int, ...]:
    """Columns of the legs that a delta of these phases has: "AB", "BC", "AC", "ABC" or "12"."""
    at = set(places(phase))
    return tuple(k for k, pair in enumerate(LEGS) if set(pair) <= at)


def phases_present(feeder: Feeder) -> BoolArray:
    """(n_bus, 3) phases that each node has."""
    present = np.zeros((feeder.n_nodes, 3), dtype=bool)
    for node, phase in enumerate(feeder.column("nodes", "phase")):
        present[node, list(places(str(phase)))] = True
    return present


def leg_voltages(feeder: Feeder) -> FloatArray:
    """(n_bus,) voltage between two phases at 1 pu: sqrt 3, and 2 between the hot legs of a split phase.

    The legs are 180 degrees apart, and each is at ``base_kv / sqrt 3`` to ground.
    """
    return np.array(
        [2.0 if phase in SPLIT_PHASES else np.sqrt(3.0) for phase in feeder.column("nodes", "phase")]
    )


def read_node_loads(feeder: Feeder, *, voltage_bands: bool) -> NodeLoads:
    """Loads and banks of the tables; ``voltage_bands``: loads leave their model outside their band."""
    n = feeder.n_nodes
    present = phases_present(feeder)
    leg_present = np.stack([present[:, a] & present[:, b] for a, b in LEGS], axis=1)
    wye, delta = _load_parts(feeder, voltage_bands)
    constant = np.ones((2, 3 * n))
    wye_items, wye_p, wye_q = _share(feeder, wye)
    delta_items, delta_p, delta_q = _share(feeder, delta)
    shares = [item for item in wye_items if not item.plain]
    for item in wye_items:
        constant[:, item.slot] = 0.0
    for item in wye_items:
        if item.plain:
            constant[:, item.slot] = item.p_share, item.q_share
    loaded = {item.slot for item in delta_items}
    bare = [
        Item(slot, 0.0, 0.0, _PLAIN, True)
        for slot in sorted(loaded - {i.slot for i in delta_items if i.plain})
    ]
    more = [
        Item(int(slot), 1.0, 1.0, _PLAIN, True)
        for slot in np.flatnonzero(leg_present.ravel())
        if int(slot) not in loaded
    ]
    return NodeLoads(
        n, feeder.base_mva, present, leg_present,
        wye_p.reshape(n, 3), wye_q.reshape(n, 3), delta_p.reshape(n, 3), delta_q.reshape(n, 3),
        constant, shares, delta_items + bare, more, _banks(feeder), leg_voltages(feeder),
    )  # fmt: skip


Parts = dict[int, dict[Key, NDArray[np.float64]]]


def _load_parts(feeder: Feeder, voltage_bands: bool) -> tuple[Parts, Parts]:
    """P and Q per slot and model, wye and delta."""
    wye: Parts = {}
    delta: Parts = {}
    for load in feeder.loads.to_pylist():
        node = feeder.node_index[load["node_id"]]
        if load["connection"] == "delta":
            target, at = delta, leg_of(load["phase"])
        else:
            target, at = wye, places(load["phase"])
        power = np.array([load["p_mw"], load["q_mvar"]]) / len(at)
        model = _model(load, voltage_bands)
        for place in at:
            models = target.setdefault(3 * node + place, {})
            known = next((key for key in models if np.array_equal(key, model, equal_nan=True)), model)
            models[known] = models.get(known, np.zeros(2)) + power
    return wye, delta


def _model(load: dict[str, float | None], voltage_bands: bool) -> Key:
    zip_shares = tuple(load[c] or 0.0 for c in ("p_z_frac", "p_i_frac", "q_z_frac", "q_i_frac"))
    exponents = tuple(np.nan if load[c] is None else float(load[c] or 0.0) for c in ("cvr_p", "cvr_q"))
    if not voltage_bands or (load["v_low_pu"] is None and load["v_high_pu"] is None):
        return (*zip_shares, *exponents, 0.0, np.inf, 1.0)
    return (
        *zip_shares, *exponents, load["v_low_pu"] or 0.0, load["v_high_pu"] or np.inf, load["v_rated_pu"] or
        1.0
    )  # fmt: skip


def _share(feeder: Feeder, parts: Parts) -> tuple[list[Item], FloatArray, FloatArray]:
    """Items with their shares of the nominal power of their slot, and that power per slot."""
    p, q = np.zeros(3 * feeder.n_nodes), np.zeros(3 * feeder.n_nodes)
    items = []
    for slot in sorted(parts):
        models = parts[slot]
        powers = np.array(list(models.values()))
        total = powers.sum(axis=0)
        p[slot], q[slot] = total
        if ((total == 0) & (powers != 0).any(axis=0)).any() and len(models) > 1:
            name = feeder.column("nodes", "node_id")[slot // 3]
            raise ValueError(
                f"loads at node {name!r} cancel at nominal voltage but depend on it differently; move one to "
                "a node of its own behind a closed switch"
            )
        shares = np.where(total == 0, 1.0 / len(models), powers / np.where(total == 0, 1.0, total))
        for (model, _), (p_share, q_share) in zip(models.items(), shares, strict=True):
            plain = bool(np.array_equal(model, _PLAIN, equal_nan=True))
            items.append(Item(slot, float(p_share), float(q_share), model, plain))
    return items, p, q


def _banks(feeder: Feeder) -> list[Bank]:
    """Susceptance of every phase or leg of the capacitor banks."""
    banks = []
    base = feeder.base_mva / 3.0
    for row, cap in enumerate(feeder.capacitors.to_pylist()):
        node = feeder.node_index[cap["node_id"]]
        delta = cap["connection"] == "delta"
        at = leg_of(cap["phase"]) if delta else places(cap["phase"])
        square = 4.0 if cap["phase"] in SPLIT_PHASES else 3.0  # of the voltage across a leg at 1 pu
        b = cap["q_mvar"] / len(at) / base / (square if delta else 1.0)
        banks += [Bank(row, node, place, delta, b) for place in at]
    return banks
