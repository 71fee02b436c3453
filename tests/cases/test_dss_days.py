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
from distgrid.cases.phases import PLACE
from distgrid.cases.profiles import MODEL_YEAR
from distgrid.cli import build_app
from distgrid.envs import SeriesLoad, options_from_assets
from distgrid.envs.configuration.asset_fleet.making import series_load
from distgrid.envs.core.columns import load_points

pytest.importorskip("dss")
from .dss_engine import in_child, read_text

GRID = """new circuit.day basekv=12.47 pu=1.02 bus1=head
new line.a bus1=head bus2=b length=2 units=km r1=.3 x1=.5 r0=.6 x0=1.4 c1=9 c0=5
new line.b bus1=b.1.2 bus2=c.1.2 phases=2 length=1 units=km r1=.4 x1=.5 r0=.7 x0=1.3 c1=9 c0=5
new transformer.t buses=[b low] conns=[delta wye] kvs=[12.47 .4] kvas=[400 400] xhl=4 %loadloss=1
"""
SHAPES = (
    """new loadshape.home npts=24 interval=1 mult=(.35 .3 .28 .27 .27 .3 .4 .55 .6 .58 .55 .57 .6 .58
""".strip()
    + """ .55 .55 .6 .75 .9 1 .95 .8 .6 .45)
new loadshape.shop npts=4 interval=6 mult=(.2 .9 1.1 .5) qmult=(.4 .8 1 .6)
new loadshape.meter npts=48 minterval=30 useactual=yes mult=(file=meter.csv)
new loadshape.sun npts=5 interval=0 hour=(0 6 12 18 24) mult=(0 .1 1 .2 0)
new loadshape.duty npts=96 sinterval=900 mult=(file=duty.csv)
"""
)
LOADS = """new load.pq bus1=b.2 phases=1 kv=7.2 kw=180 kvar=90 daily=home
new load.z bus1=c.1 phases=1 kv=7.2 kw=90 kvar=-40 model=2 daily=shop
new load.leg bus1=c.1.2 phases=1 conn=delta kv=12.47 kw=66 kvar=33 model=5 daily=home
new load.delta bus1=b conn=delta kv=12.47 kw=210 kvar=80 yearly=shop
new load.pf bus1=low.1 phases=1 kv=.231 kw=30 pf=.95 daily=meter
new load.kvar bus1=low.2 phases=1 kv=.231 kw=30 kvar=9 daily=meter
new load.still bus1=low.3 phases=1 kv=.231 kw=12 kvar=3
new load.fixed bus1=b.3 phases=1 kv=7.2 kw=30 kvar=10 daily=home status=fixed
new generator.gen bus1=b kv=12.47 kw=90 kvar=20 daily=home
new generator.yearly bus1=low.3 phases=1 kv=.231 kw=8 pf=.95 yearly=shop
new pvsystem.roof bus1=low kv=.4 kva=60 pmpp=55 irradiance=.9 daily=sun
new storage.box bus1=low kv=.4 kwrated=40 kwhrated=90 %stored=40 dispmode=follow duty=duty
"""
END = "set voltagebases=[12.47 .4]\ncalcvoltagebases\nset loadmult=.9\nsolve\n"
#: What has a shape, but none by day.
TAKEN = ("load.delta daily=shop", "generator.yearly daily=shop", "storage.box daily=duty")
STEPS = (0, 13, 27, 40, 41, 55, 68, 80, 95)


class Import(NamedTuple):
    """One run of the command."""

    script: Path
    folder: Path
    output: str


def written(folder: Path, text: str) -> Path:
    """A script, with files of shapes beside it."""
    (folder / "meter.csv").write_text("\n".join(str(18 + (k * 5) % 19) for k in range(48)))
    (folder / "duty.csv").write_text("\n".join(f"{((k * 7) % 23 - 11) / 11:.4f}" for k in range(96)))
    path = folder / "day.dss"
    path.write_text(text)
    return path


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


# -- resources as assets -------------------------------------------------------------------------------------


def test_resources_are_assets_with_their_ratings(imported: Import) -> None:
    """Row 41: kva, pmpp, kwrated, kwhrated, %stored, %reserve, efficiencies, by hand; they validate."""
    place = str(imported.folder)
    asked = ["derms", "validate-assets", f"{place}/der_assets.parquet", "--feeder", place]
    validated = CliRunner().invoke(build_app(), asked)
    assert validated.exit_code == 0, validated.output
    rows = {row["asset_id"]: row for row in cases.assets.read_assets(imported.folder).assets.to_pylist()}
    assert {name: (row["asset_type"], row["bus_id"], row["phase"]) for name, row in rows.items()} == {
        "gen": ("generator", "b", "ABC"), "yearly": ("generator", "low", "C"), "roof": ("pv", "low", "ABC"),
        "box": ("battery", "low", "ABC"),
    }  # fmt: skip
    wanted = {
        "gen": {"p_min_mw": 0.0, "p_max_mw": 0.09, "s_rated_mva": 0.108, "q_max_mvar": 0.09 * 0.44**0.5},
        "roof": {"p_min_mw": 0.0, "p_max_mw": 0.055, "s_rated_mva": 0.06, "q_min_mvar": -0.06},
        "box": {"p_min_mw": -0.04, "p_max_mw": 0.04, "energy_cap_mwh": 0.09, "soc_init": 0.4, "soc_min": 0.2,
                "efficiency": 0.9, "efficiency_discharge": 0.9},
    }  # fmt: skip
    for name, cells in wanted.items():
        for column, value in cells.items():
            assert rows[name][column] == pytest.approx(value, abs=1e-9), (name, column)
    assert "assets in der_assets.parquet: 1 battery, 2 generator, 1 pv" in imported.output


def test_no_resource_counts_twice(imported: Import) -> None:
    """Row 83: the snapshot has their power as loads; with the assets these loads are gone, by every door."""
    whole = cases.load(imported.folder)
    alone = cases.load(imported.folder, der="imported")
    stand_for = {"gen", "yearly", "roof", "box"}
    assert set(whole.column("loads", "load_id")) - set(alone.column("loads", "load_id")) == stand_for
    own = whole.column("loads", "p_mw")[[one not in stand_for for one in whole.column("loads", "load_id")]]
    assert alone.column("nodes", "load_p_mw").sum() == pytest.approx(own.sum(), abs=1e-12)
    kinds = dict(zip(alone.column("nodes", "node_id"), alone.column("nodes", "type"), strict=True))
    assert kinds == {"head": "source", "b": "der", "c": "load", "low": "der"}
    fleet = cases.assets.load_assets(alone.metadata["der_assets"])
    assert fleet.n_assets == 4
    for case in (whole, alone, imported.folder):
        options = options_from_assets(case, fleet)
        assert isinstance(options.case, cases.Feeder) or case is not whole
        feeder = options.case if isinstance(options.case, cases.Feeder) else cases.load(options.case)
        assert stand_for.isdisjoint(feeder.column("loads", "load_id"))
    part = options_from_assets(whole, fleet.select(["roof"])).case
    assert isinstance(part, cases.Feeder)
    assert {"gen", "yearly", "box"} < set(part.column("loads", "load_id"))
    assert "roof" not in part.column("loads", "load_id")


def test_loads_and_resources_together_are_the_snapshot(imported: Import) -> None:
    """What was taken out of the loads, injected as constant power, gives the voltages of the whole."""
    whole, alone = cases.load(imported.folder), cases.load(imported.folder, der="imported")
    injected = np.zeros((2, 2, whole.n_nodes, 3))
    for row in whole.loads.to_pylist():
        if row["load_id"] not in alone.column("loads", "load_id").tolist():
            at = [PLACE[letter] for letter in row["phase"]]
            for part, name in enumerate(("p_mw", "q_mvar")):
                injected[part, 0, whole.node_index[row["node_id"]], at] -= row[name] / len(at)
    solutions = [
        physics.solve(physics.compile(feeder), p_inject_mw=p, q_inject_mvar=q, tol=1e-11, max_iter=1000)
        for feeder, p, q in ((whole, None, None), (alone, injected[0, 0], injected[1, 0]))
    ]
    np.testing.assert_allclose(solutions[0].v, solutions[1].v, atol=1e-9)


def test_folders_keep_their_assets(imported: Import, tmp_path: Path) -> None:
    """A folder imports with them, none takes the place of an old one's, and no feeder is saved over them."""
    again = import_feeder(imported.folder, feeder_id="F1")
    out = again.save(tmp_path / "again")
    assert cases.assets.read_assets(out).assets.equals(cases.assets.read_assets(imported.folder).assets)
    with pytest.raises(CaseError, match=r"der_assets.parquet: expected a new or empty folder"):
        cases.load("case33bw").save(out)
    plain = import_feeder(cases.load("case33bw").save(tmp_path / "plain"))
    plain.save(out)
    assert not (out / "der_assets.parquet").exists()
    with pytest.raises(CaseError, match=r"a folder of an import with der_assets\.parquet"):
        cases.load(out, der="imported")


PLACES = """new pvsystem.x bus1=c.1.2 phases=1 conn=delta kv=12.47 kva=50 pmpp=40
new pvsystem.two bus1=c.1.2 phases=2 kv=12.47 kva=50 pmpp=40
new pvsystem.small bus1=b.3 phases=1 kv=7.2 kva=30 pmpp=90 %pmpp=50 kvarmax=20 kvarmaxabs=10
new generator.held bus1=b kv=12.47 kw=80 kva=100 model=3 minkvar=-15 maxkvar=25
new generator.motor bus1=b kv=12.47 kw=-80 kvar=0
new transformer.ct phases=1 windings=3 buses=[b.1 house.1.0 house.0.2] kvs=[7.2 .12 .12] kvas=[25 25 25]
~ xhl=2 xht=2 xlt=1.3
new storage.home bus1=house.1.2 phases=1 conn=delta kv=.24 kwrated=5 kwhrated=10
new load.x bus1=c.1 phases=1 kv=7.2 kw=30
"""


def test_where_assets_stand() -> None:
    """Legs, two phases as two halves, a name that a load has, limits of Q; what is none says why."""
    feeder, report = read_text(GRID + PLACES + "set voltagebases=[12.47 .4 .208]\ncalcvoltagebases\nsolve\n")
    rows = {row["asset_id"]: row for row in report.assets}
    assert {name: (row["phase"], row["p_max_mw"]) for name, row in rows.items()} == {
        "pvsystem.x": ("AB", 0.04), "two-a": ("A", 0.02), "two-b": ("B", 0.02), "small": ("C", 0.03),
        "held": ("ABC", 0.08),
    }  # fmt: skip
    assert (rows["small"]["q_min_mvar"], rows["small"]["q_max_mvar"]) == (-0.01, 0.01)
    assert (rows["held"]["q_min_mvar"], rows["held"]["q_max_mvar"]) == (-0.015, 0.025)
    assert {"x", "pvsystem.x", "motor", "home"} < set(feeder.column("loads", "load_id"))
    assert set(report.der_loads) == {"pvsystem.x", "two", "small", "held"}
    told = "; ".join(report.notes)
    assert "storage.home is a load and no asset: legs behind a centre tap have no phase of assets" in told
    assert "generator.motor is a load and no asset: it gives no power by its ratings" in told


def test_a_script_without_resources_has_no_assets() -> None:
    """Neither rows nor a mark in the metadata; its days begin with the model year."""
    feeder, report = read_text(GRID + "new load.x bus1=b kv=12.47 kw=100\n" + END)
    assert report.assets == ()
    assert "der_loads" not in feeder.metadata
    assert MODEL_YEAR.start.isoformat() == START
