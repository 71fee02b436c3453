"""Where plants stand: each bus for itself, several together, or drawn at random."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...envs.configuration.text_files import nearest
from ..errors import RunError
from .flows import BalancedFlows, Flows
from .phase_flows import PhaseFlows

FloatArray = NDArray[np.float64]
_LETTERS, _LEGS = "ABC", ("AB", "BC", "CA")


@dataclass(frozen=True)
class Sites:
    """Candidates.

    Attributes:
        name: Node of each candidate, or what the set is called.
        phase: Phases that it feeds: "ABC", "B", "CA"; "" on balanced feeders.
        n_sites: Buses of each.
        share: (candidates, places of `Flows.shape`) what part of the size stands where.
        buses: Nodes of each.
    """

    name: tuple[str, ...]
    phase: tuple[str, ...]
    n_sites: tuple[int, ...]
    share: FloatArray
    buses: tuple[tuple[str, ...], ...]

    def __len__(self) -> int:
        return len(self.name)

    def stands(self, n_nodes: int) -> NDArray[np.bool_]:
        """(candidates, n_nodes) whether any of a plant stands at a node."""
        return np.asarray((self.share.reshape(len(self), n_nodes, -1) != 0.0).any(axis=2))

    def part(self, rows: slice) -> Sites:
        """Some of the candidates."""
        return Sites(
            self.name[rows], self.phase[rows], self.n_sites[rows], self.share[rows], self.buses[rows]
        )


def checked_buses(flows: Flows, buses: Sequence[str] | None) -> list[str]:
    """Buses that plants may stand at: those named, or all that are fed but the sources.

    RunError for a bus that does not exist, with the nearest, for one named twice, without a source, or a
    source itself.
    """
    known = {name: row for row, name in enumerate(flows.node_ids)}
    fed = np.zeros(len(known), dtype=bool)
    fed[_fed_rows(flows)] = True
    if buses is None:
        return [name for name, row in known.items() if fed[row] and name not in flows.source_ids]
    found: list[str] = []
    for name in map(str, buses):
        if name not in known:
            raise RunError(f"feeder {flows.feeder.name!r}: {nearest('bus', name, known)}")
        if name in found:
            raise RunError(f"bus {name!r} is named twice")
        if name in flows.source_ids:
            raise RunError(
                f"bus {name!r} is a source of feeder {flows.feeder.name!r}: nothing limits it there"
            )
        if not fed[known[name]]:
            raise RunError(f"bus {name!r} of feeder {flows.feeder.name!r} has no source: it is dead")
        found.append(name)
    if not found:
        raise RunError("no bus is named: leave buses out for all of them")
    return found


def _fed_rows(flows: Flows) -> NDArray[np.int64]:
    energised = flows.net.energised
    return np.flatnonzero(energised if energised.ndim == 1 else energised.any(axis=1))


def each_bus(flows: Flows, buses: Sequence[str] | None = None, phases: str = "all") -> Sites:
    """One candidate for each bus, or for each of its phases.

    ``phases`` (per-phase feeders): "all" splits a plant equally over all phases of its bus, "each" makes
    every phase a candidate, "A", "BC", ... takes those, and only buses that have them all.
    """
    rows = {name: row for row, name in enumerate(flows.node_ids)}
    names, letters, shares = [], [], []
    for bus in checked_buses(flows, buses):
        for label, places in _places(flows, rows[bus], phases, bus, named=buses is not None):
            share = np.zeros(flows.shape)
            share[rows[bus]] = share[rows[bus]] + _equal_parts(flows.shape[1:], places)
            names.append(bus)
            letters.append(label)
            shares.append(share)
    if not names:
        raise RunError(f"no bus of feeder {flows.feeder.name!r} has the phases {phases!r}")
    return Sites(
        tuple(names), tuple(letters), (1,) * len(names), np.array(shares), tuple((n,) for n in names)
    )


def _equal_parts(shape: tuple[int, ...], places: list[int]) -> FloatArray:
    """What of a plant stands at each place of its bus; all of it where a bus has one place."""
    if not shape:
        return np.ones(())
    part = np.zeros(shape)
    part[places] = 1.0 / len(places)
    return part


def _places(flows: Flows, row: int, phases: str, bus: str, *, named: bool) -> list[tuple[str, list[int]]]:
    """Phases of candidates at a bus and where they stand among the places of the bus."""
    if isinstance(flows, BalancedFlows):
        if phases != "all":
            raise RunError(
                f"feeder {flows.feeder.name!r} is balanced: phases {phases!r} need a per-phase feeder"
            )
        return [("", [])]
    assert isinstance(flows, PhaseFlows)
    names, first = flows.terminals(row)
    if phases == "all":
        return [(flows.letters(row), [first + k for k in names])]
    labels = _LEGS if first else _LETTERS
    if phases == "each":
        return [(labels[k], [first + k]) for k in names]
    wanted = [phases] if first else list(phases)
    if any(x not in (*_LETTERS, *_LEGS) for x in wanted) or len(set(wanted)) < len(wanted):
        raise RunError(f"phases are {phases!r}: expected all, each, or letters such as A or BC")
    have = {labels[k]: k for k in names}
    if not all(x in have for x in wanted):
        if named:
            raise RunError(f"bus {bus!r} has the phases {', '.join(have)}: not {phases!r}")
        return []
    return [(phases, [first + have[x] for x in wanted])]


def together(
    flows: Flows, buses: Sequence[str] | None = None, weights: str | Mapping[str, float] = "equal",
    name: str = "together",
) -> Sites:  # fmt: skip
    """One candidate that stands at several buses: equal parts, in proportion to "load", or by weights."""
    single = each_bus(flows, buses)
    if isinstance(weights, str):
        if weights not in ("equal", "load"):
            raise RunError(f"weights are {weights!r}: expected equal, load, or a number for each bus")
        part = np.ones(len(single)) if weights == "equal" else _loads_at(flows, single.name)
    else:
        part = np.array([float(weights[bus]) for bus in single.name])
    if not (np.isfinite(part).all() and (part >= 0.0).all() and part.sum() > 0.0):
        raise RunError("weights of the buses must be finite, not below 0, and not all 0")
    used = part > 0.0
    share = np.tensordot(part / part.sum(), single.share, axes=1)
    names = tuple(bus for bus, yes in zip(single.name, used, strict=True) if yes)
    return Sites((name,), ("",), (len(names),), share[None], (names,))


def _loads_at(flows: Flows, buses: Sequence[str]) -> FloatArray:
    load = dict.fromkeys(flows.node_ids, 0.0)
    for node, p in zip(
        flows.feeder.column("loads", "node_id"), flows.feeder.column("loads", "p_mw"), strict=True
    ):
        load[str(node)] += max(float(p), 0.0)
    return np.array([load[bus] for bus in buses])


def drawn(flows: Flows, draws: int, sites: int, seed: int, buses: Sequence[str] | None = None) -> Sites:
    """Seeded Monte-Carlo siting: each candidate has ``sites`` different buses, and equal parts.

    Draw k depends on the seed and k alone.
    """
    single = each_bus(flows, buses)
    if draws < 1 or not 1 <= sites <= len(single):
        raise RunError(
            f"{draws} draws of {sites} sites: expected at least one draw of 1 to {len(single)} sites"
        )
    chosen = []
    for k in range(draws):
        rng = np.random.default_rng([seed, k])
        chosen.append(np.sort(rng.choice(len(single), size=sites, replace=False)))
    share = np.array([single.share[at].mean(axis=0) for at in chosen])
    buses_of = tuple(tuple(single.name[i] for i in at) for at in chosen)
    names = tuple(f"draw {k}" for k in range(draws))
    return Sites(names, ("",) * draws, (sites,) * draws, share, buses_of)
