"""Small pandapower nets, each with one thing that an importer may get wrong."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pandapower as pp
import pandapower.networks as pn


def _head(kv: float = 20.0, lines: int = 3) -> tuple[Any, list[int]]:
    """An external grid and a row of cables with a load at the end of each."""
    net = pp.create_empty_network(sn_mva=1.0)
    buses = [int(k) for k in pp.create_buses(net, lines + 1, vn_kv=kv)]
    pp.create_ext_grid(net, buses[0], vm_pu=1.02, va_degree=3.0)
    for start, end in pairwise(buses):
        pp.create_line_from_parameters(net, start, end, 2.0, 0.25, 0.12, 250.0, 0.3, g_us_per_km=0.5)
        pp.create_load(net, end, p_mw=0.4, q_mvar=0.1)
    return net, buses


def taps() -> Any:
    """A tap at the high side of one transformer, at the low side of another, and losses."""
    net, buses = _head()
    low = [int(k) for k in pp.create_buses(net, 2, vn_kv=0.4)]
    for bus, side, position in ((low[0], "hv", -2), (low[1], "lv", 1)):
        pp.create_transformer_from_parameters(
            net, buses[2], bus, 0.63, 20.5, 0.41, 1.2, 6.0, 1.3, 0.3, shift_degree=150.0, tap_side=side,
            tap_pos=position, tap_neutral=0, tap_step_percent=2.5, tap_min=-3, tap_max=3,
            tap_changer_type="Ratio",
        )  # fmt: skip
        pp.create_load(net, bus, 0.2, 0.05)
    return net


def tap_table() -> Any:
    """Ratio, angle and impedance of each position from a table; two units side by side."""
    import pandas as pd

    net, buses = _head()
    low = int(pp.create_bus(net, 0.4))
    steps = np.arange(-2, 3)
    net["trafo_characteristic_table"] = pd.DataFrame(
        {"id_characteristic": 0, "step": steps, "voltage_ratio": 1.0 + 0.02 * steps, "angle_deg": 0.1 * steps,
         "vk_percent": 6.0 + 0.1 * steps, "vkr_percent": 1.2 + 0.02 * steps}
    )  # fmt: skip
    pp.create_transformer_from_parameters(
        net, buses[1], low, 0.4, 20.0, 0.4, 1.2, 6.0, 0.9, 0.2, shift_degree=30.0, tap_side="hv", tap_pos=2,
        tap_neutral=0, tap_min=-2, tap_max=2, tap_changer_type="Tabular", tap_dependency_table=True,
        id_characteristic_table=0, parallel=2,
    )  # fmt: skip
    pp.create_load(net, low, 0.3, 0.1)
    return net


def three_windings() -> Any:
    """A transformer of three windings, its middle one open."""
    net = pp.create_empty_network(sn_mva=10.0)
    high, middle, low = (int(pp.create_bus(net, kv)) for kv in (110.0, 20.0, 10.0))
    pp.create_ext_grid(net, high)
    pp.create_transformer3w(net, high, middle, low, "63/25/38 MVA 110/20/10 kV", tap_pos=3)
    second = int(pp.create_transformer3w(net, high, middle, low, "63/25/38 MVA 110/20/10 kV", tap_pos=3))
    pp.create_switch(net, middle, second, et="t3", closed=False)
    pp.create_switch(net, low, second, et="t3", closed=False)
    pp.create_load(net, middle, 9.0, 3.0)
    pp.create_load(net, low, 12.0, 4.0)
    return net


def switches() -> Any:
    """Every kind: between buses, with an impedance, at one end of a line, at both, at a transformer."""
    net, buses = _head(lines=5)
    spare, twin, low = (int(pp.create_bus(net, kv)) for kv in (20.0, 20.0, 0.4))
    pp.create_switch(net, buses[1], spare, et="b", closed=True)
    pp.create_switch(net, buses[2], twin, et="b", closed=True, z_ohm=0.2)
    tie = int(pp.create_line_from_parameters(net, spare, buses[4], 3.0, 0.2, 0.1, 300.0, 0.3))
    pp.create_switch(net, buses[4], tie, et="l", closed=False, type="LBS")
    pp.create_switch(net, spare, tie, et="l", closed=True, type="LBS")
    dead = int(pp.create_line_from_parameters(net, twin, buses[5], 3.0, 0.2, 0.1, 300.0, 0.3))
    for bus in (twin, buses[5]):
        pp.create_switch(net, bus, dead, et="l", closed=False)
    unit = int(pp.create_transformer(net, spare, low, "0.63 MVA 20/0.4 kV"))
    pp.create_switch(net, low, unit, et="t", closed=False, type="CB")
    pp.create_line_from_parameters(net, buses[1], buses[3], 1.0, 0.2, 0.1, 0.0, 0.3, in_service=False)
    pp.create_load(net, spare, 0.1, 0.0)
    pp.create_load(net, twin, 0.2, 0.1)
    return net


def shares() -> Any:
    """Loads that depend on the voltage, two at one bus, with different shares; a generator beside them."""
    net, buses = _head()
    pp.create_load(net, buses[2], 0.5, 0.2, const_z_p_percent=60, const_i_p_percent=20, const_z_q_percent=100)
    pp.create_load(net, buses[2], 0.3, 0.3, const_i_p_percent=100, const_i_q_percent=50, scaling=0.8)
    pp.create_sgen(net, buses[2], 0.7, -0.1, scaling=0.5)
    pp.create_storage(net, buses[3], 0.2, max_e_mwh=1.0, q_mvar=0.05)
    pp.create_motor(net, buses[1], 0.1, 0.85, efficiency_percent=95.0, loading_percent=80.0)
    return net


def equivalents() -> Any:
    """Wards, extended wards, shunts of both signs, an impedance, a generator that holds its voltage."""
    net, buses = _head(kv=110.0)
    far = int(pp.create_bus(net, 110.0))
    pp.create_ward(net, buses[1], 1.0, 0.4, 0.8, -0.3)
    pp.create_xward(net, buses[2], 0.5, 0.2, 0.1, -0.2, r_ohm=8.0, x_ohm=30.0, vm_pu=1.01)
    pp.create_shunt(net, buses[3], q_mvar=-0.6, p_mw=0.0, step=2, max_step=3, vn_kv=115.0)
    pp.create_shunt(net, buses[1], q_mvar=0.4, p_mw=0.02)
    pp.create_impedance(net, buses[3], far, 0.002, 0.01, 1.0)
    pp.create_gen(net, far, 0.6, vm_pu=1.015, min_q_mvar=-5.0, max_q_mvar=5.0)
    pp.create_load(net, far, 1.5, 0.3)
    return net


def ring() -> Any:
    """A closed ring, parallel lines, and a line with parallel systems."""
    net, buses = _head(lines=4)
    pp.create_line_from_parameters(net, buses[4], buses[0], 1.5, 0.2, 0.1, 250.0, 0.3)
    pp.create_line_from_parameters(net, buses[0], buses[1], 2.5, 0.4, 0.1, 0.0, 0.3, parallel=3)
    return net


def per_phase(shift_deg: float = 150.0, group: str = "Dyn", tap: int = 1) -> Any:
    """Unbalanced loads in star and delta behind a transformer with losses; cables, a shunt, an open end."""
    net = pp.create_empty_network(sn_mva=2.0)
    buses = [int(pp.create_bus(net, kv)) for kv in (20.0, 20.0, 0.4, 0.4, 0.4, 0.4)]
    pp.create_ext_grid(
        net, buses[0], 1.01, va_degree=10.0, s_sc_max_mva=500, rx_max=0.2, x0x_max=1.2, r0x0_max=0.3
    )
    zero = {"r0_ohm_per_km": 0.9, "x0_ohm_per_km": 0.6, "c0_nf_per_km": 100.0}
    for start, end, km, c in ((0, 1, 5.0, 250.0), (2, 3, 0.2, 100.0), (3, 4, 0.2, 0.0), (2, 5, 0.2, 100.0)):
        pp.create_line_from_parameters(
            net, buses[start], buses[end], km, 0.3, 0.12, c, 0.3, g_us_per_km=3.0 if km < 1 else 0.0, **zero
        )
    pp.create_switch(net, buses[5], 3, et="l", closed=False)
    pp.create_switch(net, buses[4], buses[5], et="b", closed=True)
    pp.create_transformer_from_parameters(
        net, buses[1], buses[2], 0.4, 20.5, 0.41, 1.2, 6.0, 0.8, 0.3, shift_degree=shift_deg,
        vector_group=group,
        vk0_percent=5.0, vkr0_percent=1.1, mag0_percent=80, mag0_rx=0.2, si0_hv_partial=0.7, tap_side="hv",
        tap_pos=tap, tap_neutral=0, tap_step_percent=2.5, tap_min=-2, tap_max=2, tap_changer_type="Ratio",
    )  # fmt: skip
    pp.create_asymmetric_load(net, buses[3], 0.03, 0.01, 0.02, q_a_mvar=0.01, type="wye")
    pp.create_asymmetric_load(net, buses[4], 0.03, 0.0, 0.01, q_a_mvar=0.01, type="delta")
    pp.create_asymmetric_sgen(net, buses[3], 0.0, 0.03, 0.0)
    pp.create_load(net, buses[4], 0.03, 0.01, type="delta")
    pp.create_load(net, buses[5], 0.03, 0.01, type="wye", scaling=0.5)
    pp.create_shunt(net, buses[3], q_mvar=-0.01, p_mw=0.001)
    return net


SMALL: dict[str, Callable[[], Any]] = {
    one.__name__: one for one in (taps, tap_table, three_windings, switches, shares, equivalents, ring)
}
SHORT: dict[str, Callable[[], Any]] = {
    "cigre_mv": pn.create_cigre_network_mv,
    "cigre_lv": pn.create_cigre_network_lv,
    "case33bw": pn.case33bw,
    "kerber_landnetz_freileitung_1": pn.create_kerber_landnetz_freileitung_1,
    "kerber_landnetz_kabel_2": pn.create_kerber_landnetz_kabel_2,
}
_KERBER = (
    *("landnetz_freileitung_2", "landnetz_kabel_1", "dorfnetz", "vorstadtnetz_kabel_1"),
    "vorstadtnetz_kabel_2",
)
_EXTREME = (
    *("landnetz_freileitung", "landnetz_kabel", "landnetz_freileitung_trafo", "landnetz_kabel_trafo"),
    *("dorfnetz", "dorfnetz_trafo", "vorstadtnetz_1", "vorstadtnetz_trafo_2"),
)
_VOLTAGE_CONTROL = ("rural_1", "rural_2", "village_1", "village_2", "suburb_1")
#: The other LV and MV nets that pandapower ships, but for twins of the two largest ones.
LONG: dict[str, Callable[[], Any]] = {
    "cigre_mv_der": lambda: pn.create_cigre_network_mv(with_der="all"),
    "oberrhein": pn.mv_oberrhein,
    "oberrhein_generation": lambda: pn.mv_oberrhein(scenario="generation", include_substations=True),
    "open_ring": pn.simple_mv_open_ring_net,
    "dickert": pn.create_dickert_lv_network,
    "european_lv": lambda: pn.ieee_european_lv_asymmetric("on_peak_566"),
    **{f"kerber_{name}": getattr(pn, f"create_kerber_{name}") for name in _KERBER},
    **{f"extreme_{name}": getattr(pn, f"kb_extrem_{name}") for name in _EXTREME},
    **{
        f"voltage_control_{name}": partial(pn.create_synthetic_voltage_control_lv_network, name)
        for name in _VOLTAGE_CONTROL
    },
}
