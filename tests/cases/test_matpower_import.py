"""MATPOWER files become the feeders that MATPOWER itself would compute with."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from distgrid import cases, physics
from distgrid.cases.importers.matpower.importer import feeder_from_text

REFERENCE = Path(__file__).resolve().parents[1] / "reference" / "matpower"
NAMES = sorted(path.stem for path in REFERENCE.glob("*.m"))

TINY = """function mpc = tiny
%TINY  Two buses
mpc.version = '2';
mpc.baseMVA = 10;
mpc.bus = [
  1 3 0   0   0 0 1 1.01 0 12.5 1 1.1 0.9;
  2 1 0.4 0.2 0 0 1 1    0 12.5 1 1.1 0.9;
];
mpc.gen = [
  1 0 0 10 -10 1.05 100 1 10 0;
];
mpc.branch = [
  1 2 0.003 0.006 0 0 0 0 0 0 1 -360 360;
];
"""


def tiny(*changes: tuple[str, str]) -> cases.Feeder:
    """TINY with parts of its text replaced."""
    text = TINY
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return feeder_from_text(text, "tiny.m", "tiny")


def columns(name: str) -> dict[str, np.ndarray]:
    """Columns of a reference table."""
    with (REFERENCE / f"{name}.csv").open() as file:
        rows = list(csv.DictReader(file))
    return {key: np.array([float(row[key]) for row in rows]) for key in rows[0]}


@pytest.mark.parametrize("name", NAMES)
def test_every_case_equals_the_reference_tables(name: str) -> None:
    """Capability 1: what another program made of the same files, to the nine digits that it wrote."""
    feeder = cases.load(REFERENCE / f"{name}.m")
    bus, branch = columns(f"{name}_bus"), columns(f"{name}_branch")

    def same(table: str, column: str, expected: np.ndarray) -> None:
        np.testing.assert_allclose(feeder.column(table, column), expected, rtol=1e-8, atol=1e-12)

    assert feeder.base_mva == bus["base_mva"][0]
    assert list(feeder.column("nodes", "node_id")) == [str(int(number)) for number in bus["bus"]]
    for column, reference in (
        ("load_p_mw", "pd_mw"),
        ("load_q_mvar", "qd_mvar"),
        ("shunt_g_mw", "gs"),
        ("shunt_b_mvar", "bs"),
        ("base_kv", "base_kv_ll"),
        ("v_max", "vmax"),
        ("v_min", "vmin"),
    ):
        same("nodes", column, bus[reference])
    assert list(feeder.column("branches", "from_node")) == [str(int(number)) for number in branch["f"]]
    assert list(feeder.column("branches", "to_node")) == [str(int(number)) for number in branch["t"]]
    for column, reference in (("r", "r_pu"), ("x", "x_pu"), ("b", "b_pu"), ("shift_deg", "shift")):
        same("branches", column, branch[reference])
    same("branches", "tap", np.where(branch["tap"] == 0, 1.0, branch["tap"]))
    same("branches", "thermal_limit_mva", np.where(branch["rate_mva"] == 0, np.nan, branch["rate_mva"]))
    assert list(feeder.column("branches", "status")) == list(branch["status"] == 1)
    source_buses = [str(int(number)) for number in bus["bus"][bus["type"] == 3]]
    assert list(feeder.column("sources", "node_id")) == source_buses
    gen = columns(f"{name}_gen")
    setting = {str(int(number)): v for number, v in zip(gen["bus"], gen["vg"], strict=True)}
    assert list(feeder.column("sources", "v_pu")) == [setting[node] for node in source_buses]


def test_there_are_28_reference_cases() -> None:
    assert len(NAMES) == 28


@pytest.mark.parametrize(
    ("name", "p_mw", "loss_kw", "v_min"),
    [
        ("case33bw", 3.715, 202.677, 0.91309),
        ("case69", 3.80210, 224.99, 0.9092),
        ("case118zh", 22.7097, 1298.09, 0.86880),
        ("case141", 11.9446, 632.70, 0.92786),
        ("case533mt_hi", 44.6206, 3 * 175.12, 0.9587),
        ("case16ci", 28.7, 312.78, 0.9811),
        ("case18", 11.6, 260.19, 1.0268),
    ],
)
def test_published_totals(name: str, p_mw: float, loss_kw: float, v_min: float) -> None:
    """Capability 1 and 2: load, loss and lowest voltage that MATPOWER computes from the same file."""
    feeder = cases.load(REFERENCE / f"{name}.m")
    solution = physics.solve(physics.compile(feeder))
    assert feeder.column("loads", "p_mw").sum() == pytest.approx(p_mw, abs=1e-4)
    assert solution.p_loss_mw * 1e3 == pytest.approx(loss_kw, abs=0.02)
    assert np.nanmin(solution.v_pu) == pytest.approx(v_min, abs=5e-5)


def test_a_per_phase_file_becomes_three_phase() -> None:
    """Trap 9: case533mt is written per phase; powers and ratings are three times the file's."""
    feeder = cases.load(REFERENCE / "case533mt_hi.m")
    assert feeder.base_mva == 50.0
    assert set(feeder.column("nodes", "base_kv")) == {12.0, 135.0}
    assert feeder.column("nodes", "load_p_mw")[5] == 3 * 0.011666667
    assert feeder.column("branches", "thermal_limit_mva")[0] == 3 * 53.00075471
    assert feeder.column("branches", "r")[0] == 0.000289183
    assert "per phase" in feeder.metadata["notes"]


def test_only_the_way_of_writing_makes_a_file_per_phase() -> None:
    """The rule needs both `X/3` and `Y/sqrt(3)`; numbers that happen to have those values do not count."""
    both = (("mpc.baseMVA = 10", "mpc.baseMVA = 30/3"), (" 12.5 ", " 12.5/sqrt(3) "))
    assert tiny(*both).base_mva == 30.0
    assert tiny(*both).column("nodes", "base_kv")[0] == 12.5
    assert tiny(both[0]).base_mva == 10.0
    assert tiny(both[0]).column("nodes", "load_p_mw")[1] == 0.4
    assert tiny(both[1]).column("nodes", "base_kv")[0] == pytest.approx(12.5 / 3**0.5)
    one = ("2 1 0.4 0.2 0 0 1 1    0 12.5 ", "2 1 0.4 0.2 0 0 1 1    0 12.5/sqrt(3) ")
    assert tiny(both[0], one).base_mva == 10.0


def test_no_rating_is_null_and_never_a_large_number() -> None:
    """Trap 7: rateA = 0 means unlimited in MATPOWER; a large number in its place would never bind."""
    assert tiny().branches["thermal_limit_mva"].to_pylist() == [None]
    assert tiny().branches["rating_source"].to_pylist() == [None]
    rated = tiny(("0.006 0 0 0 0", "0.006 0 5 0 0"))
    assert rated.branches["thermal_limit_mva"].to_pylist() == [5.0]
    assert rated.branches["rating_source"].to_pylist() == ["source"]
    assert tiny(("0.006 0 0 0 0", "0.006 0 1e10 0 0")).branches["thermal_limit_mva"].null_count == 1
    with pytest.raises(cases.CaseError, match=r"tiny\.m:13: thermal_limit_mva = -1"):
        tiny(("0.006 0 0 0 0", "0.006 0 -1 0 0"))


def test_the_generator_sets_the_source_voltage() -> None:
    assert tiny().column("sources", "v_pu")[0] == 1.05
    off = tiny(("1.05 100 1 10", "1.05 100 0 10"))
    assert off.column("sources", "v_pu")[0] == 1.01
    assert "Vm" in off.metadata["notes"]
    second = "  1 0 0 10 -10 1.04 100 1 10 0;\n];\nmpc.branch"
    with pytest.raises(cases.CaseError, match=r"tiny\.m:11: gen Vg = 1\.04"):
        tiny(("];\nmpc.branch", second))


def test_the_source_need_not_be_the_first_bus() -> None:
    feeder = cases.load(REFERENCE / "case18.m")
    assert feeder.column("sources", "node_id").tolist() == ["51"]
    assert feeder.column("sources", "v_pu").tolist() == [1.05]
    assert feeder.column("nodes", "type")[feeder.node_index["51"]] == "source"


def test_other_generators_become_negative_loads() -> None:
    units = "  2 0.3 0.1 10 -10 1 100 1 10 0;\n  2 0.1 0 10 -10 1 100 0 10 0;\n];\nmpc.branch"
    feeder = tiny(("];\nmpc.branch", units))
    assert feeder.column("loads", "load_id").tolist() == ["load2", "gen2"]
    assert feeder.column("loads", "p_mw").tolist() == [0.4, -0.3]
    assert feeder.column("nodes", "load_p_mw")[1] == pytest.approx(0.1)
    assert feeder.column("nodes", "type")[1] == "der"
    dist = cases.load(REFERENCE / "case4_dist.m")
    assert dist.column("sources", "node_id").tolist() == ["1"]
    assert "400" in dist.metadata["notes"]


def test_several_feeders_with_a_source_each() -> None:
    feeder = cases.load(REFERENCE / "case70da.m")
    assert [len(island.sources) for island in feeder.topology().islands] == [1, 1]


def test_transformers_ties_and_parallel_branches() -> None:
    feeder = cases.load(REFERENCE / "case533mt_lo.m")
    assert feeder.column("transformers", "branch_id").tolist() == ["1-2", "1-3"]
    assert feeder.column("transformers", "hv_kv").tolist() == [135.0, 135.0]
    assert feeder.switches.num_rows == 45
    ties = cases.load(REFERENCE / "case33bw.m")
    assert ties.column("switches", "switch_id").tolist() == ["s21-8", "s9-15", "s12-22", "s18-33", "s25-29"]
    line = "  1 2 0.003 0.006 0 0 0 0 0 0 1 -360 360;\n"
    assert tiny((line, 2 * line)).column("branches", "branch_id").tolist() == ["1-2", "1-2#2"]
    shifted = tiny(("0 0 0 0 0 0 1 -360", "0 0 0 0 0.98 30 1 -360"))
    assert shifted.column("branches", "type").tolist() == ["transformer"]
    assert shifted.column("branches", "shift_deg").tolist() == [30.0]


def test_case15nbr_is_read_as_written() -> None:
    """Trap 9: its comment speaks of a conversion of impedances that the file does not make."""
    feeder = cases.load(REFERENCE / "case15nbr.m")
    assert feeder.column("branches", "r")[0] == columns("case15nbr_branch")["r_pu"][0]


def test_pinned_limits_at_load_buses_are_noted() -> None:
    """Trap 9: case28da has Vmin = Vmax = 1 everywhere."""
    assert "27 load buses" in cases.load(REFERENCE / "case28da.m").metadata["notes"]
    assert "notes" not in cases.load(REFERENCE / "case33bw.m").metadata


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("1 2 0.003", "1 2 -0.003"), r"tiny\.m:13: r = -0\.003: expected r >= 0"),
        (("  1 2 0.003", "  1 7 0.003"), r"tiny\.m:13: to_node = '7'"),
        (("  1 2 0.003", "  1 1 0.003"), r"tiny\.m:13: to_node = '1': expected a node other than from_node"),
        (("  2 1 0.4", "  1 1 0.4"), r"tiny\.m:7: node_id = '1': expected an id that no earlier row has"),
        (("  2 1 0.4", "  2 3 0.4"), r"tiny\.m:7: .*one source per energised island.*'source1'.*'source2'"),
        (("  2 1 0.4", "  2.5 1 0.4"), r"tiny\.m:7: bus bus_i = 2\.5: expected a whole number"),
        (("  2 1 0.4", "  2 5 0.4"), r"tiny\.m:7: bus type = 5: expected 1, 2, 3 or 4"),
        (("  2 1 0.4", "  2 1 NaN"), r"tiny\.m:7: bus Pd = nan: expected a finite number"),
        (("0.4 0.2", "1/0 0.2"), r"tiny\.m:7: bus Pd = inf"),
        (("  1 3 0", "  1 1 0"), r"at least one reference bus"),
        (("  1 0 0 10 -10", "  9 0 0 10 -10"), r"tiny\.m:10: gen bus = 9"),
        (("1    0 12.5 1 1.1", "1    0 -1 1 1.1"), r"tiny\.m:7: base_kv = -1"),
        (("0 0 1 -360", "0 0 2 -360"), r"tiny\.m:13: branch status = 2"),
        (("0 0 1 -360", "-1 0 1 -360"), r"tiny\.m:13: tap = -1"),
        (("12.5 1 1.1 0.9;\n];", "12.5 1 0.9 1.1;\n];"), r"tiny\.m:7: v_max = 0\.9"),
        (("mpc.version = '2';\n", ""), r"mpc\.version"),
        (("mpc.version = '2'", "mpc.version = '1'"), r"mpc\.version = '1'"),
        (("mpc.baseMVA = 10", "mpc.baseMVA = 0"), r"mpc\.baseMVA = 0\.0"),
        ((" 1 1.1 0.9;", ";"), r"mpc\.bus = 10 columns: expected a matrix of at least 13 columns"),
    ],
)
def test_bad_numbers_are_named_with_their_line(change: tuple[str, str], message: str) -> None:
    """Capability 116: file, line, field, value and what would have been right."""
    with pytest.raises(cases.CaseError, match=message):
        tiny(change)


def test_all_problems_are_listed_at_once() -> None:
    with pytest.raises(cases.CaseError) as caught:
        tiny(("1 2 0.003", "1 2 -0.003"), ("1    0 12.5 1 1.1", "1    0 -1 1 1.1"))
    assert {(p.row, p.field) for p in caught.value.problems} >= {(13, "r"), (7, "base_kv")}


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(cases.CaseError, match="No such file"):
        cases.import_matpower(tmp_path / "none.m")
    latin = tmp_path / "latin.m"
    latin.write_bytes(TINY.replace("Two buses", "Zwei Straßen").encode("latin-1"))
    assert cases.load(latin).metadata["title"] == "Zwei Straßen"
