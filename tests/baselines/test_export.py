"""Feeders written in other formats are the feeders that were written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandapower as pp
import pytest

from distgrid import cases
from distgrid.baselines.workflows.importing import exporting
from distgrid.baselines.workflows.importing.exporting import export_feeder
from distgrid.baselines.workflows.importing.verification import ImportDifferenceError
from distgrid.cases import CaseError, Feeder
from distgrid.cases.exporters.registry import exporter

from .pandapower_nets import SMALL

SUFFIX = {"matpower": ".m", "pandapower": ".json", "cim": ".zip"}


def _with_devices() -> Feeder:
    """33bw with a regulator off its neutral position, a bank that is on and one that is off."""
    feeder = cases.load("case33bw").with_new_regulator("6-7", tap_pos=5).with_source(v_pu=1.01)
    return feeder.with_new_capacitor("30", 0.4, on=True).with_new_capacitor("12", 0.3)


FEEDERS: dict[str, Callable[[], Feeder]] = {
    "33bw with devices": _with_devices,
    "taps": lambda: cases.from_pandapower(SMALL["taps"](), "taps"),
    "ring": lambda: cases.from_pandapower(SMALL["ring"](), "ring"),
    "switches": lambda: cases.from_pandapower(SMALL["switches"](), "switches"),
    "equivalents": lambda: cases.from_pandapower(SMALL["equivalents"](), "equivalents"),
}


@pytest.mark.quick(1)
@pytest.mark.parametrize(
    ("name", "to"), [(name, to) for name in FEEDERS for to in SUFFIX if (name, to) != ("equivalents", "cim")]
)
def test_what_is_written_is_the_feeder(name: str, to: str, tmp_path: Path) -> None:
    """Rows 1 and 3: solved by the engine of the format, every node is where the feeder has it."""
    feeder, file = FEEDERS[name](), tmp_path / f"out{SUFFIX[to]}"
    found = export_feeder(feeder, to, file)
    assert found.largest_pu < 1e-9
    assert [path.name for path in tmp_path.iterdir()] == [file.name]
    back = cases.load(file)
    np.testing.assert_allclose(
        back.column("loads", "p_mw").sum(), feeder.column("loads", "p_mw").sum(), rtol=1e-12
    )


def test_a_round_trip_keeps_ids_and_shares() -> None:
    """Row 4: names, ratings, limits and shares come back from a net of pandapower as they were."""
    feeder = cases.from_pandapower(SMALL["shares"](), "shares")
    back = cases.from_pandapower(cases.to_pandapower(feeder), "shares")
    for table, columns in (
        ("nodes", ("node_id", "base_kv", "v_min", "v_max", "load_p_mw")),
        ("branches", ("branch_id", "thermal_limit_mva", "length_km", "r", "x", "b")),
        ("loads", ("load_id", "p_mw", "p_z_frac", "p_i_frac", "q_z_frac", "q_i_frac")),
    ):
        for column in columns:
            ours, theirs = (np.sort(one.column(table, column)) for one in (feeder, back))
            if ours.dtype.kind == "f":
                np.testing.assert_allclose(theirs, ours, rtol=1e-12, err_msg=column)
            else:
                assert theirs.tolist() == ours.tolist()


def test_open_ties_come_back_open() -> None:
    """Row 9: the five ties of 33bw are open switches in the net, and open ties again."""
    net = cases.to_pandapower(cases.load("case33bw"))
    pp.runpp(net, numba=False)
    assert net.res_bus.vm_pu.min() == pytest.approx(0.91309, abs=1e-5)
    back = cases.from_pandapower(net)
    assert (~back.column("branches", "status")).sum() == 5
    assert back.topology().is_radial


def test_what_a_format_cannot_hold_is_refused(tmp_path: Path) -> None:
    """Loads that depend on voltage in MATPOWER, phases in both, another suffix; nothing is written."""
    shares = cases.from_pandapower(SMALL["shares"](), "shares")
    for feeder, to, file, message in (
        (shares, "matpower", "a.m", "constant power, as MATPOWER has no other"),
        (cases.load("ieee13"), "pandapower", "a.json", "expected a balanced feeder"),
        (FEEDERS["equivalents"](), "cim", "a.zip", "machines are written with constant power"),
        (shares, "pandapower", "a.m", r"expected \.json, as pandapower files have"),
        (shares, "matpowr", "a.m", "did you mean matpower"),
    ):
        with pytest.raises(CaseError, match=message):
            export_feeder(feeder, to, tmp_path / file)
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_not_the_feeder_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exporter that writes another voltage at the source is found, and the old file stays."""
    file = tmp_path / "out.json"
    file.write_text("old")
    one = exporter("pandapower")

    def wrong(feeder: Feeder, path: Path, v: np.ndarray) -> None:
        one.write(feeder.with_source(v_pu=1.001), path, v)

    monkeypatch.setattr(
        exporting, "exporter", lambda _: type(one)(one.name, one.suffix, wrong, one.node_names)
    )
    with pytest.raises(ImportDifferenceError, match="differs by") as caught:
        export_feeder(cases.load("case33bw"), "pandapower", file)
    assert "--no-verify" not in str(caught.value)  # which exports have not
    assert file.read_text() == "old"


def test_a_dataset_is_a_feeder_with_its_fleet() -> None:
    """Rows 82 and 83: nodes with a synthetic asset are marked, nothing else of the feeder is another."""
    has = [name for name, fleet in cases.public_datasets().items() if fleet]
    assert {"ieee13", "ieee34", "ieee37", "ieee123", "case33bw", "case118zh"} <= set(has)
    feeder, plain = cases.load("ieee13", der="synthetic"), cases.load("ieee13")
    buses = set(cases.assets.load_assets(feeder.metadata["der_assets"]).assets.column("bus_id").to_pylist())
    marked = set(feeder.column("nodes", "node_id")[feeder.column("nodes", "type") == "der"])
    assert marked == buses - set(plain.column("sources", "node_id"))
    assert feeder.branches.equals(plain.branches)
    for name, der, message in (
        ("case69", "synthetic", "a shipped feeder with"),
        ("ieee13", "real", "synthetic"),
    ):
        with pytest.raises(CaseError, match=message):
            cases.load(name, der=der)
