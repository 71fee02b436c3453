"""Load shapes of OpenDSS scripts: the series' steps are those that OpenDSS plays in daily mode."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from typer.testing import CliRunner

from distgrid import cases, physics
from distgrid.baselines.cli.case import app
from distgrid.baselines.errors import RunError
from distgrid.baselines.workflows.importing.importing import import_feeder
from distgrid.cases import CaseError, Problem
from distgrid.cases.importers.opendss.days import START
from distgrid.cases.importers.opendss.engine.refusal import RefusedError
from distgrid.cases.importers.opendss.engine.session import Session
from distgrid.cases.importers.opendss.shapes import Shape, ends_of_steps
from distgrid.cases.profiles import MODEL_YEAR
from distgrid.envs import SeriesLoad
from distgrid.envs.configuration.asset_fleet.making import series_load
from distgrid.envs.core.columns import load_points

pytest.importorskip("dss")
from .dss_children import in_child
from .dss_days import END, GRID, LOADS, SHAPES, written

#: What has a shape, but none by day.
TAKEN = ("load.delta daily=shop", "generator.yearly daily=shop", "storage.box daily=duty")
STEPS = (0, 13, 27, 40, 41, 55, 68, 80, 95)


class Import(NamedTuple):
    """One run of the command."""

    script: Path
    folder: Path
    output: str


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Import:
    """The script with a day, by the command."""
    folder = tmp_path_factory.mktemp("day")
    path, out = written(folder, GRID + SHAPES + LOADS + END), folder / "out"
    done = CliRunner().invoke(app, ["import", str(path), "-o", str(out), "--profiles"])
    assert done.exit_code == 0, done.output
    return Import(path, out, done.output)


def played(script: Path, taken: tuple[str, ...], steps: tuple[int, ...]) -> list[dict[str, complex]]:
    """Voltages of nodes in steps of a quarter hour, by OpenDSS in daily mode, its controls off."""
    from dss import dss

    def run(text: str) -> None:
        dss.Text.Command = text

    run("clear")
    run(f"compile {script}")
    for edit in taken:
        run(f"edit {edit}")
    for line in ("set controlmode=off", "set tolerance=1e-10", "set maxiterations=1000", "set mode=daily",
                 "set stepsize=15m", "set number=1"):  # fmt: skip
        run(line)
    found = []
    for step in range(max(steps) + 1):
        run("solve")
        assert dss.ActiveCircuit.Solution.Converged
        if step in steps:
            names = [str(name).lower() for name in dss.ActiveCircuit.AllNodeNames]
            volts = np.asarray(dss.ActiveCircuit.AllBusVolts, dtype=float).view(complex)
            found.append(dict(zip(names, volts.tolist(), strict=True)))
    return found


def solved(feeder: cases.Feeder, series: SeriesLoad, steps: tuple[int, ...]) -> Any:
    """The power flow of the feeder with rows of the series."""
    powers: dict[str, Any] = {}
    slots = load_points(feeder).slot
    assert series.reactive_mvar is not None
    for name, unit, values in (("p", "mw", series.active_mw), ("q", "mvar", series.reactive_mvar)):
        flat = np.zeros((len(steps), 6 * feeder.n_nodes))
        flat[:, slots] = values[list(steps)]
        wye, delta = flat.reshape(len(steps), 2, feeder.n_nodes, 3).transpose(1, 0, 2, 3)
        powers |= {f"{name}_{unit}": wye, f"{name}_delta_{unit}": delta}
    net = physics.compile(feeder, voltage_bands=True)
    return physics.solve(net, **powers, tol=1e-11, max_iter=2000)


def test_steps_of_the_series_are_those_of_daily_mode(imported: Import) -> None:
    """Rows 6 and 51: loads, generator, PV and storage; nine steps from the first to the last; every node."""
    feeder = cases.load(imported.folder)
    table = cases.assets.read_loads(imported.folder.with_name("out.loads.parquet"))
    assert (table.calendar.n_steps, table.calendar.dt_h) == (96, 0.25)
    ours = solved(feeder, series_load(feeder, table), STEPS)
    assert ours.converged.all()
    theirs = in_child(lambda: played(imported.script, TAKEN, STEPS))
    base = feeder.column("nodes", "base_kv") * 1e3 / np.sqrt(3.0)
    for row, volts in enumerate(theirs):
        for name, volt in volts.items():
            bus, _, node = name.rpartition(".")
            at = feeder.node_index[bus]
            assert abs(ours.v[row, at, int(node) - 1] - volt / base[at]) < 1e-6, (STEPS[row], name)


def test_the_import_says_which_shapes_it_took_and_how_far_off_it_is(imported: Import) -> None:
    """Row 51: daily shapes, what took another one, and the largest difference over some steps."""
    lines = imported.output.splitlines()
    assert "daily shapes: 6 load, 1 generator, 1 pvsystem" in lines
    assert "yearly shapes: 1 load, 1 generator (without a daily one: load.delta, generator.yearly)" in lines
    assert "duty shapes: 1 storage (without a daily one: storage.box)" in lines
    said = next(line for line in lines if line.startswith("series verified by OpenDSS in daily mode"))
    assert said.endswith("in 9 of 96 steps")
    assert float(said.partition("difference ")[2].split()[0]) < 1e-6
    assert "assets in der_assets.parquet: 1 battery, 2 generator, 1 pv" in lines
    assert MODEL_YEAR.start.isoformat() == START


def test_quarters_of_an_hourly_shape_by_hand(imported: Import) -> None:
    """OpenDSS takes the nearest hour, at halves the even one; what is fixed or has no shape stays."""
    feeder = cases.load(imported.folder)
    table = cases.assets.read_loads(imported.folder.with_name("out.loads_without_der.parquet"))
    nominal = dict(zip(feeder.column("loads", "load_id"), feeder.column("loads", "p_mw"), strict=True))
    column = {key: k for k, key in enumerate(zip(table.buses, table.phases, strict=True))}
    home = [0.45, 0.45, 0.35, 0.35, 0.35, 0.3, 0.3, 0.3, 0.3, 0.3, 0.28]  # hours 0 0 1 1 1 2 2 2 2 2 3
    ours = table.p_mw[:11, column["b", "B"]]
    np.testing.assert_allclose(ours, nominal["pq"] * np.array(home), rtol=1e-9)
    assert nominal["pq"] == pytest.approx(0.9 * 0.18)
    for point, load in ((("b", "C"), "fixed"), (("low", "C"), "still")):
        np.testing.assert_allclose(table.p_mw[:, column[point]], nominal[load], rtol=1e-12)


def ask(path: Path) -> None:
    """Days of a script, in a child of a child; CaseError for a refusal."""

    def days() -> dict[str, Any] | None:
        session = Session(path.parent, shapes=True)
        try:
            session.dss.Text.Command = "clear"
            session.run(path)
            session.days(path)
        except RefusedError as refusal:
            return refusal.parts
        return None

    parts = in_child(days)
    if parts is not None:
        raise CaseError([Problem(**parts)])


@pytest.mark.parametrize(
    ("shape", "load", "message"),
    [
        (
            "npts=3 interval=8 mult=(file=../secret.csv)",
            "",
            r":5: file = ../secret.csv: expected nothing outs",
        ),
        ("npts=3 interval=8 mult=(file=none.csv)", "", r":5: file = none.csv: expected a file that exists"),
        ("npts=3 interval=8 mult=(1 nan 1)", "", r":5: loadshape.s mult = nan \(value 2\): expected finite"),
        ("npts=3 interval=8 mult=(1 2 3) qmult=(1 inf 1)", "", r":5: loadshape.s qmult = inf \(value 2\)"),
        (
            "npts=24 interval=1 mult=(1 2 3)",
            "",
            r":5: loadshape.s mult = 3 values: expected 24, as npts says",
        ),
        (
            "npts=96 interval=1 mult=(file=meter.csv)",
            "",
            r"loadshape.s npts = 96: expected 48, as its file has",
        ),
        ("mult=(1 2 3) npts=3 interval=1", "", r"loadshape.s mult = 1 values: expected 3, as npts says"),
        (
            "npts=3 minterval=7 mult=(1 2 3)",
            "",
            r"loadshape.s interval = 0.116667 h: expected steps of a sec",
        ),
        ("npts=3 interval=0 hour=(2 1 3) mult=(1 2 3)", "", r"loadshape.s hour = 2 1 3: expected hours that"),
        (
            "npts=2 hour=(1 9) mult=(1 2) interval=0 interpolation=edge",
            "",
            "interpolation = edge: expected avg",
        ),
        ("npts=2 interval=12 mult=(1 2)", "vsource.source.daily=s", "vsource.source daily = s: expected no"),
        (
            "npts=2 interval=12 mult=(1 2)",
            "load.x.enabled=no",
            "expected a load or resource that names a load",
        ),
    ],
)
def test_shapes_that_are_none_are_told(shape: str, load: str, message: str, tmp_path: Path) -> None:
    """Files outside or absent, holes, fewer values than points, steps that fit no day: one line each."""
    (tmp_path / "secret.csv").write_text("1\n2\n3\n")
    folder = tmp_path / "feeder"
    folder.mkdir()
    text = f"{GRID}new loadshape.s {shape}\nnew load.x bus1=b kv=12.47 kw=100 daily=s\n{load}\n{END}"
    with pytest.raises(CaseError, match=message) as caught:
        ask(written(folder, text))
    assert len(str(caught.value).splitlines()) == 1


SPELLINGS = {
    "even": "npts=5 interval=1 mult=(1 2 3 4 5)",
    "wide": "npts=4 interval=6 mult=(1 2 3 4) qmult=(4 3 2 1)",
    "edge": "npts=4 interval=6 mult=(1 2 3 4) interpolation=edge",
    "uneven": "npts=4 interval=0 hour=(1 6 12 18) mult=(1 2 3 4) qmult=(4 3 2 1)",
    "zero": "npts=3 interval=0 hour=(0 5 10) mult=(1 2 3)",
    "one": "npts=1 interval=1 mult=(3)",
    "normal": "npts=3 interval=1 mult=(1 2 4) action=normalize",
    "kw": "npts=3 interval=.5 mult=(10 20 30) useactual=yes qmult=(1 2 3)",
}


def test_every_kind_of_shape_is_worth_what_opendss_takes(tmp_path: Path) -> None:
    """Row 51: nearest, edge and straight lines, before the first point and after the last, for two days."""
    text = GRID + "".join(
        f"new loadshape.{name} {said}\nnew load.{name} bus1=b kv=12.47 kw=1 kvar=1 daily={name}\n"
        for name, said in SPELLINGS.items()
    )
    path = tmp_path / "shapes.dss"
    path.write_text(text + END.replace("set loadmult=.9\n", ""))

    def ours_and_theirs() -> dict[str, tuple[Any, ...]]:
        session = Session(tmp_path, shapes=True)
        session.dss.Text.Command = "clear"
        session.run(path)
        circuit = session.dss.ActiveCircuit
        found: dict[str, tuple[Any, ...]] = {}
        table = circuit.LoadShapes
        for name in SPELLINGS:
            table.Name = name
            arrays = (np.array(values, dtype=float) for values in (table.Pmult, table.Qmult, table.TimeArray))
            found[name] = (*arrays, float(table.HrInterval), bool(table.UseActual), [])
        for line in ("set controlmode=off", "set mode=daily", "set stepsize=30m", "set number=1"):
            session.dss.Text.Command = line
        for _ in range(96):
            session.dss.Text.Command = "solve"
            for name in SPELLINGS:
                circuit.SetActiveElement(f"load.{name}")
                found[name][-1].append(np.asarray(circuit.ActiveCktElement.Powers, dtype=float)[:6].sum())
        return found

    hours = ends_of_steps(48, 96)
    np.testing.assert_allclose(hours, 0.5 * np.arange(1, 97))
    for name, (p, q, at, interval, actual, taken) in in_child(ours_and_theirs).items():
        shape = Shape(
            p, q if q.size == p.size > 1 else None, None if interval else at, interval, "edge" in
            SPELLINGS[name], actual,
        )  # fmt: skip
        own_q = shape.at(shape.p if shape.q is None else shape.q, hours)
        np.testing.assert_allclose(shape.at(p, hours) + own_q, taken, atol=1e-4, err_msg=name)


def test_one_series_for_loads_that_differ_is_refused_or_told(tmp_path: Path) -> None:
    """A point has one series: PV beside an impedance moves the mixture; `approximate` tells its cost."""
    text = (
        GRID + SHAPES + "new load.z bus1=low kv=.4 kw=60 model=2 daily=home\n" + LOADS.splitlines()[10] + "\n"
    )
    done = import_feeder(written(tmp_path, text + END), verified=False)
    series = done.series()
    assert series.mixed == ("low.A", "low.B", "low.C")
    with pytest.raises(
        RunError, match=r"step \d+ of the series: .* one mixture of loads at low.A, low.B, low.C"
    ):
        done.series_verdict(series)
    told = done.series_verdict(series, approximate=True)
    assert told.startswith("series approximate: one mixture of loads at low.A")
    cost = float(told.partition("at most ")[2].split()[0])
    assert 1e-6 < cost < 1e-2
