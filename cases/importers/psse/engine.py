"""The elements of a RAW file solved by pandapower, in its own elements, without this package's tables."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..quiet import failures, no_solution, quiet
from ..reading import EngineFailedError, EngineVoltages
from .elements import Elements, Joint

_SWING, _HOLDS = 3, 2


def solve_elements(elements: Elements, numbers: list[int]) -> EngineVoltages:
    """Voltages of the buses with these numbers.

    Raises:
        EngineFailedError: pandapower found no solution.
    """
    with quiet():
        import pandapower as pp

        net, at = _net(pp, elements)
        try:
            v = _solved(pp, net, elements, at)
        except failures() as error:
            raise EngineFailedError(no_solution(error)) from error
        v_pu = np.array([v[at[number]] for number in numbers])
    return EngineVoltages(f"pandapower {pp.__version__}", v_pu, np.ones(len(numbers), dtype=bool))


def _net(pp: Any, elements: Elements) -> tuple[Any, dict[int, int]]:
    net = pp.create_empty_network(sn_mva=elements.base)
    at: dict[int, int] = {}
    for bus in elements.buses.values():
        if bus.number in elements.on:
            at[bus.number] = int(pp.create_bus(net, bus.kv))
    for joint in elements.joints:
        _joint(pp, net, elements, joint, at)
    for shunt in elements.shunts:
        pp.create_shunt(net, at[shunt.bus], q_mvar=shunt.mva.imag, p_mw=shunt.mva.real)
    for load in elements.loads:
        pp.create_load(net, at[load.bus], load.s.real, load.s.imag)
        pp.create_shunt(net, at[load.bus], q_mvar=load.y.imag, p_mw=load.y.real)
    _generators(pp, net, elements, at)
    return net, at


def _generators(pp: Any, net: Any, elements: Elements, at: dict[int, int]) -> None:
    for unit in elements.units:
        kind = elements.buses[unit.bus].kind
        if kind == _HOLDS:
            pp.create_gen(net, at[unit.bus], unit.p_mw, vm_pu=unit.v_pu)
        elif kind != _SWING:
            pp.create_sgen(net, at[unit.bus], unit.p_mw, unit.q_mvar)
    for bus in elements.buses.values():
        if bus.number in elements.on and bus.kind == _SWING:
            units = [unit.v_pu for unit in elements.units if unit.bus == bus.number]
            pp.create_ext_grid(net, at[bus.number], units[0] if units else bus.vm_pu, va_degree=bus.va_deg)


def _joint(pp: Any, net: Any, elements: Elements, joint: Joint, at: dict[int, int]) -> None:
    first, second = (at[bus] for bus in joint.ends)
    kv = [elements.buses[bus].kv for bus in joint.ends]
    if joint.kind == "switch" and joint.z == 0:
        pp.create_switch(net, first, second, et="b", closed=joint.closed)
    elif joint.kind == "transformer":
        size = abs(joint.z) if joint.z.imag >= 0 else -abs(joint.z)
        pp.create_transformer_from_parameters(
            net, first, second, elements.base, kv[0] * joint.t1, kv[1] * joint.t2, 100.0 * joint.z.real,
            100.0 * size, 0.0, 0.0, shift_degree=joint.shift_deg, in_service=joint.closed,
        )  # fmt: skip
    else:
        ohm = kv[0] ** 2 / elements.base
        pp.create_line_from_parameters(
            net, first, second, 1.0, joint.z.real * ohm, joint.z.imag * ohm,
            joint.b / ohm / (2e-9 * np.pi * net.f_hz), 1.0, in_service=joint.closed,
        )  # fmt: skip
    for end, y in zip((first, second), joint.y_ends, strict=True):
        if y and joint.closed:
            pp.create_shunt(net, end, q_mvar=-y.imag * elements.base, p_mw=y.real * elements.base)


def _solved(pp: Any, net: Any, elements: Elements, at: dict[int, int]) -> Any:
    """Constant currents are what they draw at the last voltages, until these stand still."""
    draws = [(row, load) for row, load in enumerate(elements.loads) if load.i]
    last = None
    for _ in range(60):
        for attempt, init in enumerate(("dc", "flat")):
            try:
                pp.runpp(net, init=init, tolerance_mva=1e-10, numba=False, max_iteration=50,
                         calculate_voltage_angles=True, voltage_depend_loads=False)  # fmt: skip
                break
            except pp.LoadflowNotConverged:
                if attempt:
                    raise
        v = (net.res_bus.vm_pu * np.exp(1j * np.deg2rad(net.res_bus.va_degree))).to_numpy()
        if not draws or (last is not None and np.nanmax(np.abs(v - last)) < 1e-12):
            break
        last = v
        for row, load in draws:
            s = load.s + load.i * abs(v[at[load.bus]])
            net.load.loc[row, ["p_mw", "q_mvar"]] = s.real, s.imag
    return v
