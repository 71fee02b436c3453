"""pandapower nets become the feeders that pandapower itself solves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandapower as pp
import pytest

from distgrid import cases
from distgrid.baselines.errors import RunError
from distgrid.baselines.workflows.importing.importing import import_feeder
from distgrid.baselines.workflows.importing.verification import ImportDifferenceError, compare, verify
from distgrid.cases import CaseError
from distgrid.cases.importers.pandapower.importer import read_memory
from distgrid.cases.importers.quiet import quiet

from .pandapower_nets import LONG, SHORT, SMALL, per_phase


@pytest.mark.quick(2)
@pytest.mark.parametrize("name", SMALL)
def test_each_feature_verifies(name: str) -> None:
    """Rows 5-9: taps, tables, three windings, open ends, shares, wards, rings: as `runpp` has them."""
    net = SMALL[name]()
    before = pp.to_json(net)
    found = verify(read_memory(net, name))
    assert found.largest_pu < 1e-9
    assert pp.to_json(net) == before, "the caller's net was changed"
    pp.runpp(net, numba=False)
    assert found.compared == net.res_bus.vm_pu.notna().sum() >= len(net.bus) - 1


@pytest.mark.parametrize("name", SHORT)
def test_short_nets_of_pandapower_verify(name: str) -> None:
    """Rows 5-9: CIGRE's nets, two of Kerber's and 33bw, every bus."""
    net = SHORT[name]()
    found = verify(read_memory(net, name))
    assert found.largest_pu < 1e-9
    assert found.compared == len(net.bus)


@pytest.mark.slow
def test_all_nets_of_pandapower_verify() -> None:
    """Rows 5-9 and 105: every other LV and MV net that pandapower ships, every bus and phase."""
    for name, make in LONG.items():
        with quiet():
            net = make()
        found = verify(read_memory(net, name))
        per_phase = len(net.asymmetric_load) > 0
        assert found.largest_pu < (1e-7 if per_phase else 1e-9), name
        assert found.compared == len(net.bus) * (3 if per_phase else 1), name


@pytest.mark.parametrize(("group", "shift_deg", "tap"), [("Dyn", 150.0, 1), ("Dyn", -30.0, -2)])
def test_per_phase_nets_verify(group: str, shift_deg: float, tap: int) -> None:
    """Rows 105 and 106: three phases of every bus, as `runpp_3ph` has them."""
    net = per_phase(shift_deg, group, tap)
    reading = read_memory(net)
    assert reading.feeder.phases == "per-phase"
    found = verify(reading)
    assert found.largest_pu < 1e-7
    assert found.compared == 3 * len(net.bus)


@pytest.mark.parametrize(
    ("table", "column", "value", "message"),
    [
        (
            "line",
            "r0_ohm_per_km",
            np.nan,
            "line 1: r0_ohm_per_km: expected a value, as the net is solved per phase",
        ),
        ("trafo", "vector_group", "YNd", "trafo 0: vector_group = 'YNd': expected Dyn"),
        ("trafo", "shift_degree", 10.0, "a shift that the vector group can have"),
        ("load", "const_z_p_percent", 10.0, "runpp_3ph has constant power"),
    ],
)
def test_what_a_run_per_phase_lacks_is_told(table: str, column: str, value: Any, message: str) -> None:
    net = per_phase()
    net[table].loc[net[table].index[-1 if table == "trafo" else 1], column] = value
    with pytest.raises(CaseError, match=message):
        cases.from_pandapower(net)


def test_what_is_wrong_is_found() -> None:
    """A line that is a tenth of a percent longer is told, with the worst node and what is around it."""
    reading = read_memory(SMALL["ring"]())
    assert reading.engine is not None
    theirs = reading.engine()
    wrong = reading.feeder.with_loads(p_mw={"bus2": 0.5})
    with pytest.raises(ImportDifferenceError, match=r"at node bus2 .*Around it: line line1, line"):
        compare(wrong, theirs)


def test_an_open_end_is_a_switch_that_closes() -> None:
    """Row 9: closing the tie joins the line to its bus, and the line charges before."""
    feeder = cases.from_pandapower(SMALL["switches"]())
    ties = feeder.column("switches", "switch_id")[~feeder.column("switches", "normally_closed")]
    assert len(ties) == 4  # two open ends, one line open at both, one line out of service
    for tie in ties:
        assert feeder.with_switch(str(tie), closed=True).n_nodes == feeder.n_nodes


def test_a_file_says_whether_it_was_verified(tmp_path: Path) -> None:
    """The folder names the engine, or that nothing was compared."""
    path = tmp_path / "net.json"
    pp.to_json(SMALL["taps"](), str(path))
    done = import_feeder(path, feeder_id="F1")
    assert done.verdict.startswith("verified by pandapower")
    assert done.feeder.name == "F1"
    assert set(done.feeder.column("nodes", "feeder_id")) == {"F1"}
    kept = cases.load(done.feeder.save(tmp_path / "out"))
    assert kept.metadata["verified"] == done.verdict
    assert import_feeder(path, verified=False).verdict == "not verified"
    assert import_feeder(tmp_path / "out").verdict == done.verdict


def _without_grid(net: Any) -> None:
    net.ext_grid["in_service"] = False


def _uneven(net: Any) -> None:
    pp.create_impedance(net, 1, 2, 0.01, 0.02, 1.0, rtf_pu=0.03, xtf_pu=0.05)


def _converter(net: Any) -> None:
    pp.create_dcline(net, 1, 2, 0.1, 1.0, 0.0, 1.0, 1.0)


def _shares(net: Any) -> None:
    net.load.loc[0, ["const_z_p_percent", "const_i_p_percent"]] = 80.0, 30.0


def _two_grids(net: Any) -> None:
    pp.create_ext_grid(net, 2)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_without_grid, "an external grid in service"),
        (_uneven, "impedance = 0: expected an impedance that is the same in both directions"),
        (_converter, "dcline = 0: expected no DC lines"),
        (_shares, r"load 0: const_z_p_percent \+ const_i_p_percent = 80 \+ 30"),
        (_two_grids, "one source per energised island"),
    ],
)
def test_what_cannot_be_held_is_refused_by_name(damage: Any, message: str) -> None:
    """A net without external grid, and elements that no feeder holds: one line each."""
    net = SMALL["taps"]()
    damage(net)
    with pytest.raises(CaseError, match=message):
        cases.from_pandapower(net)


def test_a_file_makes_no_objects_of_its_own(tmp_path: Path) -> None:
    """pandapower's JSON names classes to make: others than tables are refused, however they are spelt."""
    path = tmp_path / "net.json"
    text = pp.to_json(SMALL["taps"]())
    for module, name in (("os", "system"), ("subprocess", "Popen"), ("builtins", "eval")):
        inner = json.dumps({"_module": module, "_class": name, "_object": "x"})
        for put in (inner, inner.replace("_module", "\\u005fmodule"), json.dumps(inner)):
            path.write_text(text[:-1].rstrip().removesuffix("}") + f', "z": {put}}}' + "}")
            with pytest.raises(CaseError, match=r"objects of pandapower and pandas only|whole JSON"):
                cases.load(path)


def test_a_voltage_that_no_engine_finds_is_an_error() -> None:
    """A net at ten times its load has no solution: it is said who found none."""
    net = SMALL["ring"]()
    net.load["p_mw"] *= 1e4
    with pytest.raises(RunError, match="no solution"):
        verify(read_memory(net))


def test_sums_are_those_of_the_net() -> None:
    """Row 10: loads, generators, storage and motors add up to what pandapower reports of each bus."""
    net = SMALL["shares"]()
    pp.runpp(net, voltage_depend_loads=False, numba=False)
    feeder = cases.from_pandapower(net)
    ours = dict(zip(feeder.column("nodes", "node_id"), feeder.column("nodes", "load_p_mw"), strict=True))
    theirs = net.res_bus.p_mw.drop(net.ext_grid.bus)
    np.testing.assert_allclose([ours[f"bus{k}"] for k in theirs.index], theirs, atol=1e-12)
