"""Feeders as OpenDSS scripts of plain matrices, in one file.

Every line stands with its matrices, every transformer unit as a transformer with its taps, every load, bank
and source as it is in the tables. Controls are written and switched off: a solution is the feeder's own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ...errors import CaseError, Problem
from ...model.feeder import Feeder
from .balanced import balanced_circuit
from .circuit import Circuit, per_phase_circuit
from .elements import HZ, Names, capacitor, load, number, shunt, source, wire
from .names import names_of
from .transformers import Neutrals, bank_control, tap_control, unit

#: What `new circuit` calls its own source.
_OF_THE_CIRCUIT = "source"
_BEYOND = 0.9  # OpenDSS wants limits for emergencies beyond the normal ones


def opendss_text(feeder: Feeder) -> str:
    """The text of a `.dss` file.

    Raises:
        CaseError: what OpenDSS cannot hold, with its id.
    """
    if not feeder.sources.num_rows:
        raise CaseError([Problem(feeder.name, None, "sources", "0", "a source, as a circuit of OpenDSS has")])
    circuit = balanced_circuit(feeder) if feeder.phases == "balanced" else per_phase_circuit(feeder)
    names = _names(circuit)
    lines = [*_head(circuit, names), *_devices(circuit, names), *_end(circuit, names)]
    return "\n".join([*lines, ""])


def bus_names(feeder: Feeder) -> list[str]:
    """What the script calls each node."""
    return list(names_of(feeder.column("nodes", "node_id").tolist()).values())


def _names(circuit: Circuit) -> Names:
    first, *others = (row["source_id"] for row in circuit.sources)
    capacitors = names_of(row["cap_id"] for row in circuit.capacitors)
    return Names(
        buses=names_of(row["node_id"] for row in circuit.nodes),
        lines=names_of(row["branch_id"] for row in circuit.wires),
        transformers=names_of(row["transformer_id"] for row in circuit.units),
        banks=names_of(dict.fromkeys(row["branch_id"] for row in circuit.units)),
        loads=names_of(row["load_id"] for row in circuit.loads),
        capacitors=capacitors,
        # those of constant admittances end in _g and _b, and stand beside the banks
        shunts=names_of(
            (row["shunt_id"] for row in circuit.shunts),
            {name.removesuffix("_b") for name in capacitors.values()},
        ),
        regulators=names_of(row["reg_id"] for row in circuit.regulators),
        cap_controls=names_of(row["control_id"] for row in circuit.cap_controls),
        sources={first: _OF_THE_CIRCUIT} | names_of(others, {_OF_THE_CIRCUIT}),
    )


def _head(circuit: Circuit, names: Names) -> Iterator[str]:
    yield f"! {_shown(circuit.title)}"
    yield f"! Written by distgrid from the tables of feeder {_shown(circuit.name)}."
    yield f"! Susceptances are those of the tables at {HZ:g} Hz; other frequencies need other ones."
    for kind, known in (
        ("bus", names.buses), ("line", names.lines), ("transformer", names.transformers),
        ("bank", names.banks),
        ("load", names.loads), ("capacitor", names.capacitors), ("regcontrol", names.regulators),
        ("capcontrol", names.cap_controls), ("vsource", names.sources),
    ):  # fmt: skip
        for one, name in known.items():
            if one != name:
                yield f"! {kind} {name} is {_shown(one)}"
    yield "clear"
    yield f"set defaultbasefrequency={number(HZ)}"


def _shown(text: str) -> str:
    return ascii(" ".join(text.split()))[1:-1]


def _devices(circuit: Circuit, names: Names) -> Iterator[str]:
    kv = circuit.kv()
    name = next(iter(names_of([circuit.name]).values()))
    for k, row in enumerate(circuit.sources):
        head = f"new vsource.{names.sources[row['source_id']]}" if k else f"new circuit.{name}"
        yield source(row, kv, names, head)
    for row in circuit.wires:
        yield from wire(row, names)
    yield from _transformers(circuit, kv, names)
    for row in circuit.loads:
        yield load(row, kv, names)
    for row in circuit.capacitors:
        yield capacitor(row, kv, names)
    phases = {row["node_id"]: row["phase"] for row in circuit.nodes}
    for row in circuit.shunts:
        yield from shunt(row, phases[row["node_id"]], kv[row["node_id"]], names)
    for row in circuit.cap_controls:
        yield bank_control(row, circuit.wires, names)


def _transformers(circuit: Circuit, kv: Mapping[str, float], names: Names) -> Iterator[str]:
    regulators = {row["transformer_id"]: row for row in circuit.regulators}
    neutrals = Neutrals()
    for row in circuit.units:
        regulator = regulators.get(row["transformer_id"])
        yield unit(row, regulator, names, neutrals)
        control = tap_control(regulator, row, kv, names) if regulator and row["closed"] else ""
        if control:
            yield control


def _end(circuit: Circuit, names: Names) -> Iterator[str]:
    bases = sorted({row["base_kv"] for row in circuit.nodes}, reverse=True)
    yield f"set voltagebases=[{' '.join(map(number, bases))}]"
    yield "! Taps and banks stay where they are; set controlmode=static lets the controls act."
    yield "set controlmode=off maxiterations=1000 tolerance=1e-9"
    limits = {(row["v_min"], row["v_max"]) for row in circuit.nodes}
    low, high = next(iter(limits))
    if len(limits) == 1 and 0 < low < high:
        beyond = f"emergvminpu={number(_BEYOND * low)} emergvmaxpu={number(high / _BEYOND)}"
        yield f"set normvminpu={number(low)} normvmaxpu={number(high)} {beyond}"
    yield "calcvoltagebases"
    for row in circuit.nodes:
        if row["coord_source"] == "source":
            at = f"x={number(row['x'])} y={number(row['y'])}"
            yield f"setbusxy bus={names.buses[row['node_id']]} {at}"
    yield "solve"
