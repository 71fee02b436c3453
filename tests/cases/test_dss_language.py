"""The script language of OpenDSS: what is read, what is refused, and that files stay where they may be."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from distgrid import cases
from distgrid.cases import CaseError, Feeder
from distgrid.cases.importers.opendss.importer import feeder_from_text
from distgrid.cases.importers.opendss.lexer import Param, Place, matrix, number, rpn, split

HERE = Place("x.dss", 1)
SMALL = """new circuit.small basekv=12.47
new line.a bus1=sourcebus bus2=b length=1 units=km r1=.1 x1=.2 r0=.3 x0=.6 c1=0 c0=0
new load.l bus1=b kv=12.47 kw=100 kvar=20
set voltagebases=[12.47]
"""


def built(*lines: str, text: str = SMALL) -> Feeder:
    """The small feeder with more lines behind it."""
    return feeder_from_text(text + "\n".join(lines) + "\n", "x.dss")


def value(text: str) -> float:
    """A number as a script would say it."""
    return number(split(f"a={text}", HERE)[0])


def test_lines_of_parameters() -> None:
    found = split("New  Load.a,kW = 5 kvs=(1, 2 3) 'two words' name=[x|y] ! kW=6", HERE)
    assert [(p.name, p.value, p.quoted) for p in found] == [
        ("", "New", False), ("", "Load.a", False), ("kw", "5", False), ("kvs", "1, 2 3", True),
        ("", "two words", True), ("name", "x|y", True),
    ]  # fmt: skip
    assert [p.value for p in split("a // b", HERE)] == ["a"]
    assert split("! only a comment", HERE) == []
    assert [p.value for p in split("{! kept} x", HERE)] == ["! kept", "x"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(8 1000 /)", 0.008), ("[2 3 + 4 *]", 20.0), ("'2 3 ^'", 8.0), ("{9 sqrt}", 3.0),
        ("(2 sqr inv)", 0.25),
        ("(30 sin 60 cos +)", 1.0), ("(1 1 atan2)", 45.0), ("(1 exp ln)", 1.0), ("(100 log10)", 2.0),
        ("(pi)", np.pi), ("1.5e-3", 0.0015), (".5", 0.5), ("-2", -2.0), ("(-2)", -2.0),
        ("(1.051 0.88 0.001 3 * - - 115 12.47 / sqr *)", (1.051 - (0.88 - 0.003)) * (115 / 12.47) ** 2),
    ],
)  # fmt: skip
def test_numbers_and_inline_mathematics(text: str, expected: float) -> None:
    assert value(text) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize(
    "text",
    ["(1 +)", "(1 2)", "()", "(1 0 /)", "(-1 sqrt)", "(system)", "1_0", "nan", "inf", "1e999", "0x10",
     "(9 999 ^ 9 ^)", "(1 1 1 1 1 1 1 1 1 1 1 +)", "five", "(1e200 sqr)"],
)  # fmt: skip
def test_what_is_no_number(text: str) -> None:
    """Capability 2: arithmetic only, and only finite."""
    with pytest.raises(CaseError, match=r"x\.dss:1: a = "):
        value(text)


def test_matrices() -> None:
    assert matrix(Param("m", "1 | 2 3 | 4 5 6", True, HERE), 3) == [[1, 2, 4], [2, 3, 5], [4, 5, 6]]
    assert matrix(Param("m", "1 2|2 3", True, HERE), 2) == [[1, 2], [2, 3]]
    for text in ("1 2|3 4", "1|2", "1 2 2 3", "", "|", "1|2 3|4 5 6"):
        with pytest.raises(CaseError, match=r"rows between bars|a symmetric matrix"):
            matrix(Param("m", text, True, HERE), 2)
    assert rpn(Param("", "2 3 *", True, HERE)) == 6.0


def test_continued_and_commented_lines() -> None:
    """`~`, `more`, block comments, short forms of names and commands, any case."""
    feeder = built(
        "/* new load.not bus1=b",
        "kw=1 */",
        "NEW LOAD.Two BUS1=b.2 PHASES=1",
        "~ kV=7.2 // kw=9",
        "more kW=50 ! kw=70",
        "~ kvar=10",
        "load.two.kvar=12 vmin=.9",
        "edit load.two vmaxp=1.1",
    )
    at = feeder.column("loads", "load_id").tolist().index("two")
    assert feeder.column("loads", "phase")[at] == "B"
    assert feeder.column("loads", "p_mw")[at] == pytest.approx(0.05)
    assert feeder.column("loads", "q_mvar")[at] == pytest.approx(0.012)
    assert feeder.column("loads", "v_low_pu")[at] == pytest.approx(0.9, rel=1e-3)
    assert feeder.n_nodes == 2


def test_what_enters_no_snapshot_is_left_out() -> None:
    plain, more = built(), built(
        "new loadshape.s npts=2 mult=[1 2]",
        "~ interval=1",
        "new energymeter.m line.a 1",
        "new monitor.q element=line.a mode=1",
        "batchedit loadshape..* useactual=no",
        "load.l.daily=s yearly=s spectrum=x",
        "set mode=daily number=24",
        "solve",
        "show voltages ln nodes",
        "plot circuit power max=30",
        "export voltages",
        "calcv",
        "closedi",
    )  # fmt: skip
    assert more.equals(plain)


def test_switching() -> None:
    """Capability 9: open, close, disable and enabled=no."""
    tie = "new line.t bus1=sourcebus bus2=b switch=y"
    assert built(tie).column("branches", "status").tolist() == [True, True]
    assert built(tie, "open line.t terminal=2").column("branches", "status").tolist() == [True, False]
    assert built(tie, "open line.t 1 0", "close line.t 1").column("branches", "status").all()
    assert built(tie, "disable line.t").column("branches", "status").tolist() == [True, False]
    opened = built(f"{tie} enabled=no")
    assert opened.column("switches", "type").tolist() == ["tie"]
    assert opened.with_switch("t", closed=True).topology().loops
    away = built("new line.t bus1=b bus2=nowhere switch=y enabled=no")
    assert away.n_branches == 1
    assert "leads nowhere" in away.metadata["notes"]
    assert built("new line.u bus1=sourcebus bus2=b enabled=no").n_branches == 1
    assert built("load.l.enabled=no").loads.num_rows == 0


REFUSED = {  # what is behind the small feeder: what the message says, all of it about line 5
    "new generator.g bus1=b kw=5": "new = 'generator'",
    "new pvsystem.p bus1=b": "a class of objects that the importer knows",
    "new linegeometry.g nconds=3": "'linegeometry'",
    "new load.l bus1=b": "a name that no object of the class has yet",
    "new load": "class.name of an object",
    "new circuit.two": "one circuit",
    "edit load.q kw=1": "an object that was defined before",
    "load.l.colour=red": "a property of a load",
    "load.l.xfkva=50": "the importer cannot convert it",
    "load.l.model=7": "one of 1, 2, 3, 4, 5, 8",
    "load.l.rneut=5": "the importer cannot convert it",
    "load.l.phases=4": "one of 1, 2, 3",
    "load.l.conn=zigzag": "wye (y, ln) or delta (d, ll)",
    "load.l.kv=0": "kV > 0",
    "load.l.kw=(1 2": "a closing )",
    "load.l.kw=": "a value behind the equals sign",
    "load.l.basefreq=50": "60, the circuit's",
    "new load.m bus1=c kv=12.47 kw=1": "a bus that a line or transformer ends at",
    "new load.m bus1=b.1.2.3.4 kv=12.47 kw=1": "bus.1.2.3 with phases 1 to 3",
    "new load.m bus1=b.1.1 conn=delta phases=1": "phases, each once",
    "new load.m bus1=b.1.2.0.3 kv=12.47": "a neutral at ground",
    "new load.m bus1=b model=8 zipv=[1 0 0 1 0 0 .7]": "0 as the voltage of disconnection",
    "new load.m bus1=b model=8 zipv=[.5 0 0 1 0 0 0]": "shares of P that add up to 1",
    "line.a.geometry=g": "the importer cannot convert it",
    "line.a.linecode=none": "a line code that exists",
    "line.a.length=-1": "a length > 0",
    "line.a.units=furlong": "one of none, mi",
    "line.a.basefreq=50": "60, the circuit's",
    "new line.c bus1=b.1.2 bus2=c.2.1 phases=2": "the same phases, each once, at both ends",
    "new line.c bus1=b.1.2 bus2=c.1.2": "3 nodes, one per phase, or none",
    "new line.c bus1=b": "the buses of both ends",
    "new line.c bus1=b bus2=c rmatrix=(1|0 1|0 0 1) r1=5": "not both",
    "new line.c bus1=b bus2=c rmatrix=(1|0 1|0 0 1) units=km": "the capacitances of a line given by matrices",
    "new line.c bus1=b bus2=c r1=-1 r0=-1": "a diagonal >= 0",
    "new line.c bus1=b bus2=c r1=0 x1=0 r0=0 x0=0": "an impedance > 0 on the diagonal",
    "new line.c bus1=b bus2=b": "a node other than from_node",
    "new linecode.k nphases=9": "one of 1, 2, 3, 4",
    "new linecode.k kron=y": "matrices, and the number of one of their conductors",
    "new transformer.t buses=[b c] kvs=[12.47 .48] windings=4": "2 to 3",
    "new transformer.t buses=[b c] kvs=[12.47 .48] phases=2": "one of 1, 3",
    "new transformer.t buses=[b c] kvs=[12.47 .48] rneut=5": "a solidly grounded neutral",
    "new transformer.t buses=[b.1.2.3.4 c] kvs=[12.47 .48]": "bus.1.2.3 with phases 1 to 3",
    "new transformer.t buses=[b c] kvs=[12.47 .48 1]": "2 values, one per winding",
    "new transformer.t buses=[b c] kvs=[12.47 0]": "a number > 0",
    "new transformer.t bus=b": "the bus of every winding",
    "new transformer.t xfmrcode=x": "a transformer code that exists",
    "new transformer.t windings=3 buses=[b c d] kvs=[12.47 1 1] xhl=1 xht=2": "all three of them",
    "new transformer.t windings=3 buses=[b c d] xscarray=[1 2 3]": "the only transformer of three",
    "new transformer.t phases=1 buses=[b.1 c.0.1] kvs=[7.2 .12]": "ground only as neutral",
    "new regcontrol.r transformer=x winding=2": "a transformer that exists",
    "new regcontrol.r transformer=x winding=3": "one of 1, 2",
    "new regcontrol.r transformer=x winding=2 bus=c": "the importer cannot convert it",
    "new regcontrol.r transformer=x winding=2 inversetime=yes": "only n or f can be converted",
    "new capacitor.c bus1=b bus2=d kvar=5": "a shunt, not a series capacitor",
    "new capacitor.c bus1=b kvar=[5 5] numsteps=2": "one number >= 0: one step",
    "new capacitor.c bus1=b kvar=5 xl=.1": "no impedance or filter in series",
    "new capcontrol.k capacitor=c type=time": "kvar, voltage or current",
    "new capcontrol.k capacitor=c element=transformer.t": "a line, and a capacitor",
    "new reactor.r bus1=b x=1": "a series reactor",
    "new reactor.r bus1=b bus2=c kvar=100": "the importer cannot convert it",
    "new vsource.two bus1=b": "one source that takes part",
    "vsource.source.model=ideal": "only thev can be converted",
    "vsource.source.r1=1": "r1, x1, r0 and x0 together",
    "vsource.source.phases=1": "one of 3",
    "set loadmult=1.2": "scale the loads of the feeder instead",
    "set frequency=50": "an option that the importer knows",
    "set defaultbasefrequency=50": "before the circuit is made",
    "set voltagebases=[0]": "kV > 0",
    "frobnicate": "a command of OpenDSS that the importer knows",
    "setkvbase bus=b kvll=12": "a command of OpenDSS that the importer knows",
    "kw=5": "a command, or class.name.property=value",
    "open load.l": "a line",
    "open line.a terminal=1 conductor=2": "all conductors of the terminal",
    "batchedit load..* kw=5": "edit one by one",
    "redirect other.dss": "a script that reads no other files",
    "/* never closed": "an end of this comment",
    "new load.m basefreq=60 yes l extra": "no more values than properties",
}
EARLIER = {
    "vsource.source.r1=1": 1,
    "line.a.length=-1": 2,
    "load.l.kv=0": 3,
}  # what was defined there is wrong


@pytest.mark.parametrize("line", REFUSED)
def test_refusals_name_the_line(line: str) -> None:
    """Capability 116: nothing is dropped in silence; file, line, what stands there, and what may."""
    with pytest.raises(CaseError) as caught:
        built(line)
    first = caught.value.problems[0]
    assert first.file == "x.dss"
    assert first.row == EARLIER.get(line, 5), str(first)
    assert REFUSED[line] in str(caught.value), str(caught.value)


def test_a_script_without_a_circuit() -> None:
    with pytest.raises(CaseError, match=r"x\.dss: expected a circuit"):
        feeder_from_text("clear\n", "x.dss")
    with pytest.raises(CaseError, match=r"x\.dss:1: .*a circuit first"):
        feeder_from_text("new load.a bus1=b\n", "x.dss")


# -- files ---------------------------------------------------------------------------------------------------


def write(folder: Path, **files: str) -> Path:
    """Files by name (dots as __, folders as ___); the path of the first."""
    paths = []
    for name, text in files.items():
        path = folder / name.replace("___", "/").replace("__", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        paths.append(path)
    return paths[0]


def test_redirects_and_coordinates(tmp_path: Path) -> None:
    """Files are looked for beside the file that names them; `cases.load` takes the master."""
    master = write(
        tmp_path,
        Master__DSS="clear\nredirect sub/net.dss\nbuscoords 'XY.csv'\n",
        sub___net__dss="redirect head.dss\nredirect ../loads.txt\nset voltagebases=[12.47]\n",
        sub___head__dss="\n".join(SMALL.splitlines()[:2]) + "\n",
        loads__txt="new load.l bus1=b kv=12.47 kw=100 kvar=20\n",
        XY__csv="sourcebus, 1, 2\n! a comment\nB 3 4\n",
    )
    feeder = cases.load(master)
    assert feeder.loads.equals(built().loads)
    assert feeder.name == "small"
    assert feeder.column("nodes", "x").tolist() == [1.0, 3.0]
    assert set(feeder.column("nodes", "coord_source")) == {"source"}
    assert cases.import_dss(master, feeder_id="F7").feeder_id == "F7"


def test_errors_name_the_redirected_file(tmp_path: Path) -> None:
    master = write(
        tmp_path, m__dss=f"{SMALL}redirect more.txt\n", more__txt="\nnew load.z bus1=nowhere kw=1 pf=1\n"
    )
    with pytest.raises(CaseError, match=r"more\.txt:2: "):
        cases.load(master)


def test_files_outside_of_the_root_are_not_read(tmp_path: Path) -> None:
    secret = write(tmp_path, secret__dss="new load.s bus1=b kv=12.47 kw=7 kvar=0\n")
    folder = tmp_path / "case"
    link = folder / "link.dss"
    folder.mkdir()
    link.symlink_to(secret)
    for name in ("../secret.dss", "..\\\\secret.dss", str(secret), "link.dss", "sub/../../secret.dss"):
        master = write(folder, m__dss=f"{SMALL}redirect {name}\n")
        with pytest.raises(CaseError, match=r"m\.dss:5: .*a file inside of .*root="):
            cases.load(master)
    assert cases.import_dss(master, root=tmp_path).loads.num_rows == 2
    with pytest.raises(CaseError, match="a folder that holds the file"):
        cases.import_dss(secret, root=folder)


def test_files_that_read_each_other(tmp_path: Path) -> None:
    master = write(tmp_path, a__dss="redirect b.dss\n", b__dss="compile a.dss\n")
    with pytest.raises(CaseError, match=r"b\.dss:1: .*not being read already"):
        cases.load(master)
    for k in range(30):
        (tmp_path / f"n{k}.dss").write_text(f"redirect n{k + 1}.dss\n")
    with pytest.raises(CaseError, match=r"n19\.dss:1: .*at most 20 inside each other"):
        cases.load(tmp_path / "n0.dss")
    doubling = "".join(f"new linecode.c{k} like=c{k - 1}\n~ like=c{k - 1}\n" for k in range(1, 40))
    with pytest.raises(CaseError, match="in one line with like="):
        built("new linecode.c0 r1=1 x1=1", *doubling.splitlines())


def test_only_files_of_a_sane_size_are_read(tmp_path: Path) -> None:
    """A pipe would wait for ever, a sparse file of a terabyte fill the memory."""
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.dss")
    else:
        (tmp_path / "pipe.dss").mkdir()
    with (tmp_path / "huge.dss").open("wb") as file:
        file.truncate(10**12)
    for name, reason in (
        ("pipe.dss", "not a regular file"),
        ("huge.dss", "too large"),
        (".", "not a regular"),
    ):
        with pytest.raises(CaseError, match=rf"m\.dss:1: .*a readable file \({reason}"):
            cases.load(write(tmp_path, m__dss=f"redirect {name}\n"))


def test_missing_files_and_odd_encodings(tmp_path: Path) -> None:
    with pytest.raises(CaseError, match=r"m\.dss:1: 'gone\.dss': expected a readable file"):
        cases.load(write(tmp_path, m__dss="redirect gone.dss\n"))
    with pytest.raises(CaseError, match="expected a readable file"):
        cases.import_dss(tmp_path / "none.dss")
    master = tmp_path / "latin.dss"
    master.write_bytes(b"\xef\xbb\xbf" + SMALL.encode() + b"! caf\xe9\r\n")
    assert cases.load(master).n_nodes == 2
