"""A script that the importer accepts means to it what it means to OpenDSS, in whatever order it is said."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest

from distgrid.cases import CaseError, Feeder, import_dss
from distgrid.cases.importers.opendss.importer import feeder_from_text
from distgrid.cases.importers.opendss.lexer import Place, split

from .dss_readers import compare, our_volts
from .dss_spellings import HEAD, SCENES, TAIL, script

REPORTED = Path(__file__).parents[1] / "reference" / "reported"


@pytest.mark.parametrize("scene", SCENES)
def test_random_scripts_mean_the_same_to_both_readers(scene: str, tmp_path: Path) -> None:
    """Twenty scripts of each kind: equal voltages to 1e-6 pu, or a refusal that names file and line."""
    pytest.importorskip("dss")
    path, refused = tmp_path / "m.dss", 0
    for seed in range(20):
        path.write_bytes(script(scene, seed).encode())
        verdict = compare(path)
        assert not verdict.wrong, f"{scene} {seed}: {verdict.wrong}\n{script(scene, seed)}"
        refused += bool(verdict.refused)
    assert 0 < refused < 20


@pytest.mark.slow
@pytest.mark.parametrize("scene", SCENES)
def test_many_random_scripts_mean_the_same_to_both_readers(scene: str, tmp_path: Path) -> None:
    """Three hundred more of each kind; to 3e-6, as OpenDSS adds a millionth to the neutral of impedances."""
    pytest.importorskip("dss")
    path = tmp_path / "m.dss"
    for seed in range(20, 320):
        path.write_bytes(script(scene, seed).encode())
        verdict = compare(path, tolerance=3e-6)
        assert not verdict.wrong, f"{scene} {seed}: {verdict.wrong}\n{script(scene, seed)}"


# -- what was reported ------------------------------------------------------------

REFUSED = {
    "f08_one_phase_wye_capacitor_with_two_nodes": (5, "at most 1 nodes"),
    "f10a_like_after_bus": (6, "like= in front of all other properties"),
    "f13_four_conductor_linecode_crash": (4, "1 to 3 conductors"),
}


@pytest.mark.parametrize("name", sorted(path.name for path in REPORTED.iterdir() if path.is_dir()))
def test_what_was_reported_is_right_or_refused(name: str) -> None:
    """Every script that was read differently has OpenDSS's voltages, to 1e-6 of them, or names its line."""
    path = REPORTED / name / "m.dss"
    if name in REFUSED:
        line, words = REFUSED[name]
        with pytest.raises(CaseError) as caught:
            import_dss(path)
        assert (caught.value.problems[0].file, caught.value.problems[0].row) == (str(path.resolve()), line)
        assert words in str(caught.value)
        return
    expected = json.loads((REPORTED / name / "expected.json").read_text())["volts"]
    found = our_volts(import_dss(path))
    assert {f"{bus}.{node}" for bus, node in found} == set(expected)
    for (bus, node), v in found.items():
        size, degrees = expected[f"{bus}.{node}"]
        assert abs(v - size * np.exp(1j * np.deg2rad(degrees))) < 1e-6 * max(size, 1.0), (bus, node)


def read(*lines: str) -> Feeder:
    """A feeder from lines between the head and the tail that all scenes share."""
    return feeder_from_text(HEAD + "\n".join(lines) + "\n" + TAIL, "m.dss")


SIBLINGS = {  # what stands in line 5, or behind it, and what the refusal says
    "new load.x bus1=b kv=12.47,,kw=7": "a value before the comma",
    "new load.x bus1=[b] , kw=7": "a value before the comma",
    "new load.x bus1=b\x0b kw=7": "without control characters",
    "new load.x bus1=b\xa0 kw=7": "without control characters",
    "new load.\u00c4 bus1=b kw=7": "capital letters A to Z",
    "new load.x bus1=b kw=@p": "variables are not read",
    "new load.x bus1=b kw=(2,,3 *)": "a formula",
    "new load.x bus1=b enabled=1": "yes or no",
    "new load.x bus1=b kw=5 like=a": "like= in front of all other properties",
    "new load.x like=a": "a bus",
    "new load.x bus1=b cfactor=3": "the importer cannot convert it",
    "new load.x bus1=b allocationfactor=.4": "the importer cannot convert it",
    "set year=3": "0: in other years the loads grow",
    "solve loadmult=2": "scale the loads of the feeder instead",
    "solve year=1": "0: in other years the loads grow",
    "set element=load.a": "an option that the importer knows",
    "clear": "no more than one circuit",
    "edit circuit.t pu=1": "OpenDSS does not edit the source by this",
    "open line.l1": "the terminal: 1 or 2",
    "open line.l1 3": "the terminal: 1 or 2",
    "open line.l1 2 1": "all conductors of the terminal",
    "open line.l1 cond=2": "in this order",
    "new line.x bus1=b bus2=c switch=y rmatrix=(1|0 1|0 0 1)": "OpenDSS keeps the latter",
    "new capacitor.x bus1=b.1.2 phases=1": "at most 1 nodes",
    "new linecode.k nphases=4\nnew line.x bus1=b bus2=c linecode=k": "1 to 3 conductors",
    "new linecode.m rmatrix=(1|0 1|0 0 1)\nnew line.x bus1=b bus2=c switch=y linecode=m": "keeps that",
    "new linecode.m rmatrix=(1|0 1|0 0 1)\nnew linecode.n like=m": "OpenDSS copies only in part",
    "new line.x bus1=b bus2=c r1=1\nnew line.y like=x bus1=b bus2=d": "OpenDSS copies only in part",
    "new load.x bus1=b like=a\n~ kw=7": "goes on with the other object",
    "new loadshape.s npts=1 mult=[5] useactual=y\nnew load.x bus1=b daily=s": "a load shape of multipliers",
    "disable load.a\n~ kw=7": "an object (new, edit) in front of it",
    "open line.l1 2\nline.l1.phases=2": "no change of an open line's conductors",
    "new transformer.t buses=[b d] kvs=[12.47 4.16]\nnew regcontrol.r tapnum=4 transformer=t": "in front",
    "new transformer.t buses=[b d] kvs=[12.47 4.16]\nnew regcontrol.r transformer=t winding=2 tapnum=4\n"
    "transformer.t.numtaps=16": "in front of the control's tap number",
}


@pytest.mark.parametrize("lines", SIBLINGS)
def test_siblings_are_refused_with_their_line(lines: str) -> None:
    """Capability 116: what OpenDSS would read differently says where it stands and why."""
    with pytest.raises(CaseError) as caught:
        read(lines)
    first = caught.value.problems[0]
    assert first.file == "m.dss"
    assert 5 <= (first.row or 0) <= 5 + lines.count("\n")
    assert SIBLINGS[lines] in str(caught.value)


def test_files_behind_a_compile_elsewhere(tmp_path: Path) -> None:
    """OpenDSS stays in the folder of a compiled file, and goes back behind a redirected one."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "net.dss").write_text(HEAD)
    (tmp_path / "sub" / "more.dss").write_text("compile ../here.dss\n")
    (tmp_path / "here.dss").write_text("new load.h bus1=b kv=12.47 kw=5\n")
    master = tmp_path / "m.dss"
    master.write_text("redirect sub/net.dss\nredirect sub/more.dss\ncompile here.dss\nredirect here.dss\n")
    with pytest.raises(CaseError, match=r"here\.dss:1: .*load\.h.*no object of the class has yet"):
        import_dss(master)
    master.write_text("compile sub/net.dss\nredirect here.dss\n")
    with pytest.raises(CaseError, match=r"m\.dss:2: .*behind a compile in another folder"):
        import_dss(master)


def test_what_was_left_out_is_in_the_notes() -> None:
    """Disabled lines, switches that lead nowhere, and a solution that controls would have acted in."""
    feeder = read(
        "new line.gone bus1=src bus2=b enabled=no",
        "new line.tie bus1=b bus2=nowhere switch=y enabled=no",
        "new transformer.t buses=[b d] kvs=[12.47 4.16]",
        "new regcontrol.r transformer=t winding=2 tapnum=4",
        "solve",
        "solve",
        *(f"new load.off{k} bus1=b kw=5 enabled=no" for k in range(7)),
        "new capacitor.c bus1=b kvar=5 enabled=no",
    )
    notes = feeder.metadata["notes"]
    assert "disabled and left out: load off0, off1, off2, off3, off4 and 2 more" in notes
    assert "disabled and left out: capacitor c" in notes
    assert "line gone is disabled and was left out" in notes
    assert "switch tie is disabled, leads nowhere, and was left out" in notes
    assert notes.count("solve was not run") == 1
    assert "notes" not in read("solve").metadata


def test_a_line_that_is_open_at_one_end() -> None:
    """A cable keeps its charging and its closed end; a switch, which has none, is open."""
    cable = "new line.x bus1=b bus2=c r1=.2 x1=.1 r0=.6 x0=.3 c1=300 c0=300 length=8 units=km"
    for commands, status, open_ends in (
        (["open line.x 2"], True, "to"),
        (["open line.x 1"], True, "from"),
        (["open line.x 1", "open line.x 2"], False, ""),
        (["open line.x 1", "open line.x 2", "close line.x 1"], True, "to"),
        (["open line.x 2", "close line.x 2"], True, ""),
    ):
        feeder = read(cable, "new line.y bus1=c bus2=d", *commands)
        row = feeder.branch_index["x"]
        assert feeder.column("branches", "status")[row] == status, commands
        assert feeder.column("branches", "open_ends")[row] == open_ends, commands
    switch = read("new line.x bus1=b bus2=c switch=y", "open line.x 2")
    assert not switch.column("branches", "status")[switch.branch_index["x"]]
    assert set(switch.column("branches", "open_ends")) == {""}


# -- speed ------------------------------------------------------------

LINES = [
    "New  Load.a,kW = 5 kvs=(1, 2 3) 'two words' name=[x|y] ! kW=6", "a // b", "! only", "x=[1 2] , y=3",
    "x=1 , y=2",
    "x=[1 2],y=3", "a,,b", "a, b", "a=b=c", "a/b=c", "new line.3/0_x bus1=a.1.2  bus2=b units=ft ",
    "? load.x.kw",
    "~ kva=(25 2 *) pf=.9", "{! kept} x", 'new "load.a" kw=5', "a=", "=b", ",a", "a (b", "a=(b) c=[d] e",
    "x=(1)y=2",
    "kv=@p", "a = [1]  ", "  new load.x", "kw= 3", "kw =3", "a=()", "x\ty", "a=[@b]", "a='b'",
    "a=b ! c=d", "a=b //c",
]  # fmt: skip


@pytest.mark.parametrize("line", LINES)
def test_plain_lines_are_split_as_all_others(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The expression that takes nearly every line says what the careful reading says."""

    def answer() -> object:
        try:
            return split(line, Place("x.dss", 1))
        except CaseError as error:
            return str(error)

    quick = answer()
    monkeypatch.setattr("distgrid.cases.importers.opendss.lexer._PLAIN_PARAM", _Never())
    assert answer() == quick


class _Never:
    """An expression that matches nothing."""

    def match(self, *_: object) -> None:
        """Nothing."""


def large(n: int) -> str:
    """n medium-voltage lines in a comb, with a centre tap, a drop and two loads behind each third."""
    text = [
        "new circuit.large basekv=12.47 bus1=n0",
        "new linecode.m rmatrix=(.4|.1 .5|.1 .1 .4) xmatrix=(1|0 1|0 0 1) cmatrix=(9|-1 9|-1 -1 9) units=mi",
        "new linecode.t nphases=2 rmatrix=(.4|.1 .5) xmatrix=(.9|.3 1) units=km",
        "new xfmrcode.c phases=1 windings=3 kvs=(7.2 .12 .12) kvas=(25 25 25) xhl=2 xht=2 xlt=1.3",
    ]
    for k in range(1, n + 1):
        text.append(f"new line.l{k} bus1=n{max(k - 7, 0)} bus2=n{k} linecode=m length={k % 9 + 1} units=ft")
        if k % 3 == 0:
            text.append(f"new transformer.t{k} xfmrcode=c buses=[n{k}.{k % 2 + 1} x{k}.1.0 x{k}.0.2]")
            text.append(f"new line.d{k} bus1=x{k}.1.2 bus2=y{k}.1.2 phases=2 linecode=t length=50 units=ft")
            for leg in (1, 2):
                text.append(
                    f"new load.l{k}_{leg} phases=1 bus1=y{k}.{leg} kv=.12 kw={leg}.5 pf=.97 conn=wye model=1"
                )
    return "\n".join([*text, "set voltagebases=[12.47 .208]", "calcvoltagebases"])


def test_a_large_feeder_is_read_in_linear_time() -> None:
    """The size of IEEE 8500 in less than two seconds of a core; four times the size of a quarter of it.

    By the best of three: a single reading of the clock is also one of who else was running.
    """
    spent = {}
    for n in (750, 3000):
        text, times = large(n), []
        for _ in range(3):
            start = time.process_time()
            feeder = feeder_from_text(text, "large.dss")
            times.append(time.process_time() - start)
        spent[n] = min(times)
        assert feeder.n_nodes == n + 1 + 2 * (n // 3)
    assert spent[3000] < 2.0
    assert spent[3000] < 8 * spent[750] + 0.2
