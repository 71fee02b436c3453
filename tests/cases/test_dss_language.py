"""Scripts of OpenDSS: what is run, what is left out or refused, and that files stay where they may be."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from distgrid import cases
from distgrid.cases import CaseError, Feeder
from distgrid.cases.importers.opendss.engine.process import compile_script
from distgrid.cases.importers.opendss.engine.words import command, file_references, words

pytest.importorskip("dss")
from .dss_engine import feeder_from_text, read_path, read_text

SMALL = """new circuit.small basekv=12.47
new line.a bus1=sourcebus bus2=b length=1 units=km r1=.1 x1=.2 r0=.3 x0=.6 c1=0 c0=0
new load.l bus1=b kv=12.47 kw=100 kvar=20
set voltagebases=[12.47]
"""


def built(*lines: str, text: str = SMALL) -> Feeder:
    """The small feeder with more lines behind it."""
    return feeder_from_text(text + "\n".join(lines) + "\n", "x.dss")


def test_words_of_a_line() -> None:
    """Brackets and quotes hold blanks; comments end a line; abbreviations stand for the first command."""
    found = words("New  Load.a,kW = 5 kvs=(1, 2 3) 'two words' name=[x|y] ! kW=6")
    assert [(w.name, w.value) for w in found] == [
        ("", "New"), ("", "Load.a"), ("kw", "5"), ("kvs", "1, 2 3"), ("", "two words"), ("name", "x|y"),
    ]  # fmt: skip
    assert [w.value for w in words("a // b")] == ["a"]
    assert words("! only a comment") == []
    known = ["new", "export", "redirect"]
    assert [command(words(t)[0], known) for t in ("REDIR x", "exp v", "line.x.r1=3", "?")] == [
        "redirect", "export", "", "",
    ]  # fmt: skip
    named = file_references("new loadshape.s mult=(file=a.csv) csvfile='b c.txt'")
    assert [name for name, _, _ in named] == ["a.csv", "b c.txt"]


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


def test_what_enters_no_snapshot_is_left_out_and_counted() -> None:
    """Meters, shapes, reports: the same tables, and the report says what there was."""
    plain, more = built(), read_text(SMALL + "\n".join((
        "new loadshape.s npts=2 mult=[1 2]",
        "~ interval=1",
        "new energymeter.m line.a 1",
        "new monitor.q element=line.a mode=1",
        "batchedit loadshape..* useactual=no",
        "load.l.daily=s yearly=s",
        "set mode=daily number=24 datapath=/tmp editor=vi demandinterval=yes",
        "solve",
        "show voltages ln nodes",
        "plot circuit power max=30",
        "export voltages /tmp/x.csv",
        "exp powers",
        "save circuit dir=/tmp/saved",
        "doscmd touch x",
        "calcv",
        "closedi",
    )), "x.dss")  # fmt: skip
    assert more[0].equals(plain)
    ignored = more[1].ignored
    assert ignored["command export"] == 2
    assert {"command show", "command doscmd", "command save", "option datapath", "option editor"} <= set(
        ignored
    )
    assert ignored["energymeter"] == ignored["monitor"] == 1
    assert not Path("/tmp/saved").exists()


def test_switching() -> None:
    """Row 9: open, close, disable and enabled=no."""
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


def test_protection_makes_lines_switches() -> None:
    """Row 9: what a fuse, a recloser, a relay or a switch control opens is a switch of the tables."""
    feeder = built(
        *(f"new line.l{k} bus1=b bus2=c{k} r1=.1 x1=.1 c1=0 c0=0" for k in range(5)),
        "new fuse.f monitoredobj=line.l0 monitoredterm=1",
        "new recloser.r monitoredobj=line.l1 switchedobj=line.l1",
        "new relay.r monitoredobj=line.l2 switchedobj=line.l2",
        "new swtcontrol.s switchedobj=line.l3 switchedterm=1 normal=open action=open",
        "solve",
    )
    state = dict(
        zip(feeder.column("branches", "branch_id"), feeder.column("branches", "status"), strict=True)
    )
    assert feeder.column("switches", "switch_id").tolist() == ["l0", "l1", "l2", "l3"]
    assert state["l0"]
    assert state["l4"]


REFUSED = {  # what is behind the small feeder: what the message says, all of it about line 5
    "new load": "what OpenDSS can run",
    "load.l.colour=red": "what OpenDSS can run",
    "frobnicate": "what OpenDSS can run",
    "new load.m bus1=b.1.2.3.4 kv=12.47 kw=1": "no neutral conductor|not a floating one",
    "new load.m bus1=b model=8 kv=12.47 zipv=[.5 0 0 1 0 0 0]": "shares of P that add up to 1",
    "line.a.linecode=none": "what OpenDSS can run",
    "new transformer.t windings=3 buses=[b.1.2.3.4 c d] kvs=[12.47 .48 .48]": "a neutral at ground",
    "new transformer.t phases=1 buses=[b.1 c.0.1] kvs=[7.2 .12]": "ground only as neutral",
    "new vsource.two bus1=b frequency=180": "frequency = 180: expected 60",
    "new gicline.i bus1=b bus2=c r=1": "no element of this class",
    "new generator.g bus1=b kv=12.47 kw=5 usermodel=evil.so": "a program library",
    "new loadshape.s npts=1 mult=[1] action=dblsave": "writes itself to a file",
    "set cktmodel=positive": "multiphase",
    "set loadmodel=admittance": "loadmodel = admittance: expected powerflow",
    "solve loadm=a": "loadmodel = a: expected powerflow",
    "newactor": "one circuit in one actor",
    "redirect other.dss": "a file that exists",
    "new load.m bus1=b kv=12.47 kw=(file=/etc/passwd)": "nothing outside of the folder",
    "redirect /dev/zero": "nothing outside of the folder",
    "cd /": "nothing outside of the folder",
}  # fmt: skip
WHOLE = ("new gicline",)  # refused as a class, without a line


@pytest.mark.parametrize("line", REFUSED)
def test_refusals_name_the_line(line: str) -> None:
    """Row 116: nothing is dropped in silence; file, line, what stands there, and what may."""
    with pytest.raises(CaseError, match=REFUSED[line]) as caught:
        built(line)
    first = caught.value.problems[0]
    assert first.file.endswith("x.dss")
    assert first.row == (None if line.startswith(WHOLE) else 5), str(first)


def test_a_script_without_a_circuit() -> None:
    with pytest.raises(CaseError, match=r"x\.dss: expected a circuit"):
        feeder_from_text("clear\n", "x.dss")
    with pytest.raises(CaseError, match=r"x\.dss:1: "):
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
    """Files are looked for beside the file that names them, in any case; `cases.load` takes the master."""
    master = write(
        tmp_path,
        Master__DSS="clear\nredirect Sub\\NET.dss\nbuscoords 'XY.csv'\n",
        sub___net__dss="redirect head.dss\nredirect ../loads.txt\nset voltagebases=[12.47]\n",
        sub___head__dss="\n".join(SMALL.splitlines()[:2]) + "\n",
        loads__txt="new load.l bus1=b kv=12.47 kw=100 kvar=20\n",
        XY__csv="sourcebus, 1, 2\nB 3 4\n",
    )
    feeder = cases.load(master)
    assert feeder.loads.equals(built().loads)
    assert feeder.name == "small"
    assert feeder.column("nodes", "x").tolist() == [1.0, 3.0]
    assert set(feeder.column("nodes", "coord_source")) == {"source"}
    assert cases.import_dss(master, feeder_id="F7").feeder_id == "F7"


def test_files_behind_a_compile_elsewhere(tmp_path: Path) -> None:
    """OpenDSS stays in the folder of a compiled file, and goes back behind a redirected one."""
    write(tmp_path, sub___net__dss=SMALL, sub___here__dss="new load.s bus1=b kv=12.47 kw=7\n")
    write(tmp_path, here__dss="new load.h bus1=b kv=12.47 kw=5\n")
    for verb, name in (("redirect", "h"), ("compile", "s")):
        feeder, _ = read_path(write(tmp_path, m__dss=f"{verb} sub/net.dss\nredirect here.dss\n"))
        assert feeder.column("loads", "load_id").tolist() == ["l", name]


def test_errors_name_the_redirected_file(tmp_path: Path) -> None:
    master = write(
        tmp_path, m__dss=f"{SMALL}redirect more.txt\n", more__txt="\nnew load.z bus1=b kw=1 colour=1\n"
    )
    with pytest.raises(CaseError, match=r"more\.txt:2: "):
        read_path(master)


def test_files_outside_of_the_root_are_not_read(tmp_path: Path) -> None:
    secret = write(tmp_path, secret__dss="new load.s bus1=b kv=12.47 kw=7 kvar=0\n")
    folder = tmp_path / "case"
    folder.mkdir()
    (folder / "link.dss").symlink_to(secret)
    for name in ("../secret.dss", "..\\\\secret.dss", str(secret), "link.dss", "sub/../../secret.dss"):
        master = write(folder, m__dss=f"{SMALL}redirect {name}\n")
        with pytest.raises(CaseError, match=r"m\.dss:5: .*nothing outside of the folder .*root="):
            read_path(master)
    master = write(folder, m__dss=f"{SMALL}redirect ../secret.dss\n")
    assert cases.import_dss(master, root=tmp_path).loads.num_rows == 2
    with pytest.raises(CaseError, match="a folder that holds the file"):
        cases.import_dss(secret, root=folder)


SHAPE = "new loadshape.s npts=2 interval=12 mult=(file=../shape.csv)\nload.l.daily=s\n"


def test_shapes_outside_of_the_root_are_not_read(tmp_path: Path) -> None:
    """Row 116: a snapshot needs none of their values, so they are left out and counted; what they would move
    is refused, and so are curves that a snapshot needs.
    """
    secret = write(tmp_path, shape__csv="3\n4\n")
    folder = tmp_path / "case"
    folder.mkdir()
    want = read_path(write(folder, m__dss=f"{SMALL}solve\n"))[0]
    lines = (
        SHAPE, SHAPE.replace("mult=(file=../shape.csv)", "csvfile=../shape.csv"),
        f"new loadshape.s 2 12 (file={secret})\n", f"new loadshape.s npts=2\n~ interval=1 csvfile={secret}\n",
        f"new tshape.s npts=2 csvfile={secret}\n",
    )  # fmt: skip
    for line in lines:
        master = write(folder, m__dss=f"{SMALL}{line}set mode=snap\nsolve\n")
        feeder, report = read_path(master)
        assert feeder.loads.equals(want.loads)
        assert report.ignored["data file of a shape that lies outside of the folder"] == 1
    for end in ("solve mode=daily number=2\n", "set mode=yearly\nsolve number=9\n"):
        with pytest.raises(CaseError, match=r"m\.dss:5: file = \.\./shape\.csv: expected nothing outside of"):
            read_path(write(folder, m__dss=SMALL + SHAPE + end))
    curve = "new xycurve.c npts=2 csvfile=../shape.csv\n"
    with pytest.raises(CaseError, match=r"m\.dss:5: .*nothing outside of the folder"):
        read_path(write(folder, m__dss=SMALL + curve))
    with pytest.raises(CaseError, match=r"m\.dss:5: .*nothing outside of the folder"):
        compile_script(write(folder, m__dss=f"{SMALL}{SHAPE}solve\n"), folder, days=True)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Landlock is Linux's")
def test_the_engine_itself_is_fenced_in(tmp_path: Path) -> None:
    """Positional values name files that no word of the line tells: the child cannot open or write them."""
    secret = write(tmp_path, secret__csv="3\n4\n")
    folder = tmp_path / "case"
    folder.mkdir()
    shape = f"new loadshape.s 2 1 (1 2) (1 2) 1 1 {secret}\n"
    master = write(folder, m__dss=SMALL + shape)
    with pytest.raises(CaseError, match=r"m\.dss:5: .*secret\.csv"):
        compile_script(master, folder)
    assert compile_script(master, tmp_path).header["listed"]["loadshape"] == 1


def test_files_that_read_each_other(tmp_path: Path) -> None:
    """A script that redirects to itself."""
    master = write(tmp_path, a__dss="redirect b.dss\n", b__dss="compile a.dss\n")
    with pytest.raises(CaseError, match=r"b\.dss:1: .*not being read already"):
        read_path(master)
    for k in range(60):
        (tmp_path / f"n{k}.dss").write_text(f"redirect n{k + 1}.dss\n")
    with pytest.raises(CaseError, match=r"n49\.dss:1: .*at most 50 files inside each other"):
        read_path(tmp_path / "n0.dss")


def test_a_script_that_never_ends(tmp_path: Path) -> None:
    """One clear line, and this process goes on; a child that needs too much memory ends alone, too."""
    endless = write(tmp_path, m__dss=SMALL + "set mode=yearly number=10000\n" + "solve\n" * 5000)
    with pytest.raises(CaseError, match=r"m\.dss: expected a script that ends within 3 s"):
        compile_script(endless, tmp_path, time_s=3.0)
    greedy = write(tmp_path, g__dss=SMALL + "new loadshape.s npts=1500000000 mult=[1 2 3]\nload.l.yearly=s\n")
    with pytest.raises(CaseError, match=r"g\.dss"):
        compile_script(greedy, tmp_path, time_s=60.0, memory_bytes=1 << 30)


def test_only_files_of_a_sane_size_are_read(tmp_path: Path) -> None:
    """A pipe would wait for ever, a sparse file of a terabyte fill the memory."""
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.dss")
    else:
        (tmp_path / "pipe.dss").mkdir()
    with (tmp_path / "huge.dss").open("wb") as file:
        file.truncate(10**12)
    for name, reason in (("pipe.dss", "a regular file"), ("huge.dss", "too large"), (".", "a regular file")):
        with pytest.raises(CaseError, match=rf"m\.dss:1: .*{reason}"):
            read_path(write(tmp_path, m__dss=f"redirect {name}\n"))


def test_missing_files_and_odd_encodings(tmp_path: Path) -> None:
    """Windows-1252 and a byte-order mark are read; UTF-16 and zero bytes are refused."""
    with pytest.raises(CaseError, match=r"m\.dss:1: .*gone\.dss: expected a file that exists"):
        read_path(write(tmp_path, m__dss="redirect gone.dss\n"))
    with pytest.raises(CaseError, match="expected a file that exists"):
        cases.import_dss(tmp_path / "none.dss")
    master = tmp_path / "latin.dss"
    master.write_bytes(b"\xef\xbb\xbf" + SMALL.encode() + b"! caf\xe9 was\x85 new load.z bus1=b kw=9\r\n")
    assert read_path(master)[0].loads.num_rows == 1
    master.write_bytes(SMALL.encode("utf-16"))
    with pytest.raises(CaseError, match="not UTF-16"):
        read_path(master)
    master.write_bytes(SMALL.encode() + b"new load.z \0 bus1=b\n")
    with pytest.raises(CaseError, match=r"latin\.dss:5: .*zero bytes"):
        read_path(master)


def test_without_the_engine_the_message_says_how(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is named where the import of the engine fails."""
    from distgrid.cases.importers.opendss.engine import process

    copy = shutil.copytree(Path(process.__file__).parent, tmp_path / "engine")
    (copy / "session.py").write_text("raise ImportError('no module named dss')\n")
    monkeypatch.setattr(process, "_HERE", copy)
    with pytest.raises(CaseError, match=r"pip install 'distgrid\[opendss\]'"):
        cases.load(write(tmp_path, m__dss=SMALL))
