"""The kernel cache: it notices edits in any file, and its absence stops nobody."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

import distgrid
from distgrid import cases, physics
from distgrid.physics.numba_tools import jit

#: Two kernels that compile soon: the tree of a feeder, and the sweep of its linear power flow.
SWEEP = """
from distgrid import cases, physics
from distgrid.physics.numba_tools import jit
net = physics.compile(cases.load("case33bw"))
print(jit._FOLDER, float(physics.linear.lin_dist_flow(net).evaluate().v_pu.min()))
"""


def run(code: str, env: dict[str, str], cwd: Path) -> str:
    """Standard output of `python -c code` in a clean environment; the process must succeed."""
    keep = {k: v for k, v in os.environ.items() if k in ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT")}
    keep["MPLBACKEND"] = "Agg"
    done = subprocess.run(
        [sys.executable, "-c", code], env=keep | env, cwd=cwd, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_source_hash_changes_with_every_file(tmp_path: Path) -> None:
    """Trap 25c: content, name, a new file and a lost one; and nothing else."""
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text(f"{name} = 1\n")
    seen = {jit.source_hash(tmp_path)}

    def differs() -> bool:
        size = len(seen)
        seen.add(jit.source_hash(tmp_path))
        return len(seen) > size

    (tmp_path / "notes.txt").write_text("no source")
    assert not differs()
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text(f"{name} = 2\n")
        assert differs()
    (tmp_path / "c.py").write_text("")
    assert differs()
    (tmp_path / "c.py").rename(tmp_path / "d.py")
    assert differs()


def test_source_hash_changes_with_files_of_subfolders(tmp_path: Path) -> None:
    """Trap 25c: kernels in a folder of their own count as well, and where they are."""
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "a.py").write_text("x = 1")
    seen = {jit.source_hash(tmp_path)}
    for path in (inside / "b.py", tmp_path / "b.py"):
        path.write_text("y = 1")
        seen.add(jit.source_hash(tmp_path))
        path.write_text("y = 2")
        seen.add(jit.source_hash(tmp_path))
        path.unlink()
    assert len(seen) == 5


def test_the_folder_in_use_is_keyed_on_these_sources(tmp_path: Path) -> None:
    """Trap 25c: a process takes its kernels from a folder named after the sources it runs."""
    code = (
        "from distgrid.physics.numba_tools import jit; folders = jit.KERNEL_FOLDERS; "
        "count = [len(list(folder.rglob('*.py'))) for folder in folders]; "
        "print(jit._FOLDER, jit.source_hash(*folders), min(count))"
    )
    folder, key, count = run(code, {"DISTGRID_CACHE_DIR": str(tmp_path)}, tmp_path).split()
    assert Path(folder) == tmp_path / "kernels" / key
    assert int(count) >= 3


CALLEE = """
from distgrid.physics.numba_tools.jit import inline
FACTOR = {factor}
@inline
def callee(x):
    return FACTOR * x + {offset}
"""
CALLER = """
from distgrid.physics.numba_tools.jit import kernel
from distgrid.physics.probe_callee import FACTOR, callee
@kernel
def caller(x):
    return callee(x) + 100.0 * FACTOR
"""
PACKAGE = Path(distgrid.__file__).parent


def kernel_folders() -> list[str]:
    """Folders of the package in which a function is compiled, as dotted names below the package."""
    marks = ("@kernel", "@lean_kernel", "@inline")
    held = {
        path.parent.relative_to(PACKAGE)
        for part in ("cases", "physics", "envs", "baselines")
        for path in (PACKAGE / part).rglob("*.py")
        if any(line.strip() in marks for line in path.read_text().splitlines())
    }
    return sorted(".".join(folder.parts) for folder in held)


@pytest.mark.slow
def test_an_edit_in_another_file_is_noticed(tmp_path: Path) -> None:
    """Trap 25c: a constant and a function of another folder change; the second process computes anew.

    In every folder of the package that holds a kernel, on a copy of the package's sources. The last process
    finds the first one's kernels again.
    """
    folders = kernel_folders()
    assert {"physics.balanced.kernels", "physics.unbalanced.kernels", "envs.kernels"} <= set(folders)
    package = tmp_path / "distgrid"
    package.mkdir()
    (package / "__init__.py").touch()
    for name in ("physics", "cases", "envs"):
        shutil.copytree(PACKAGE / name, package / name, ignore=shutil.ignore_patterns("__pycache__", "data"))
    (package / "envs" / "__init__.py").write_text("")
    for folder in folders:
        (package / folder.replace(".", "/") / "probe_caller.py").write_text(CALLER)
    env = {"PYTHONPATH": str(tmp_path), "DISTGRID_CACHE_DIR": str(tmp_path / "cache"), "HOME": str(tmp_path)}
    code = (
        "import json; from importlib import import_module; from pathlib import Path; import distgrid\n"
        f"made = [import_module(f'distgrid.{{f}}.probe_caller').caller for f in {folders!r}]\n"
        "results = [each(2.0) for each in made]\n"
        "hits = [sum(each.stats.cache_hits.values()) for each in made]\n"
        "print(json.dumps([results, hits, str(Path(distgrid.__file__).parent)]))"
    )
    answers, hits = [], []
    for factor, offset in ((1.0, 0.0), (1.0, 7.0), (3.0, 7.0), (1.0, 0.0)):
        (package / "physics" / "probe_callee.py").write_text(CALLEE.format(factor=factor, offset=offset))
        result, hit, where = json.loads(run(code, env, tmp_path))
        assert Path(where) == package
        answers.append(set(result))
        hits.append(set(hit))
    assert answers == [{102.0}, {109.0}, {313.0}, {102.0}]
    assert hits == [{0}, {0}, {0}, {1}]


OWN = """
from distgrid.physics import kernel
from distgrid.physics.numba_tools import jit
import helper, numba
@kernel
def mine(x):
    return helper.twice(x)
assert mine(2.0) == {answer}
kept = [path.name for path in jit._FOLDER.rglob("*.nbi")]
print(sum(mine.stats.cache_hits.values()), *kept, numba.config.CACHE_DIR)
"""
HELPER = """
import numba
@numba.njit
def twice(x):
    return {factor} * x
"""


@pytest.mark.slow
def test_a_kernel_of_ones_own_notices_edits_beside_it(tmp_path: Path) -> None:
    """Trap 25c: `physics.kernel` in a user's folder, calling a function of another file there.

    Also where the user told Numba to keep its code elsewhere: that place knows only the kernel's own file.
    """
    env = {
        "DISTGRID_CACHE_DIR": str(tmp_path / "cache"),
        "HOME": str(tmp_path),
        "NUMBA_CACHE_DIR": "elsewhere",
    }
    env |= {"NUMBA_CACHE_LOCATOR_CLASSES": "InTreeCacheLocator"}
    hits = []
    for factor in (2.0, 3.0, 2.0):
        (tmp_path / "helper.py").write_text(HELPER.format(factor=factor))
        (tmp_path / "own.py").write_text(OWN.format(answer="helper.twice(2.0)"))
        hit, *kept, place = run("import own", env, tmp_path).split()
        assert kept
        assert place == "elsewhere"  # what others compile still goes where the user wants it
        hits.append(hit)
    assert hits == ["0", "0", "1"]
    assert not list(tmp_path.glob("__pycache__/*.nbi"))


@pytest.mark.slow
def test_a_kernel_that_was_typed_in_is_compiled_uncached(tmp_path: Path) -> None:
    """There is no file to watch: no traceback, and nothing that could be stale."""
    code = "from distgrid.physics import kernel; print(kernel(lambda x: 2.0 * x)(3.0))"
    assert run(code, {"DISTGRID_CACHE_DIR": str(tmp_path)}, tmp_path) == "6.0"
    assert not list(tmp_path.rglob("*.nbi"))


def test_names_and_contents_cannot_be_confused(tmp_path: Path) -> None:
    """Trap 25c: what moves from the end of one file to the beginning of the next is a change."""
    first, second = tmp_path / "a.py", tmp_path / "b.py"
    first.write_text("x = 1b.py")
    before = jit.source_hash(tmp_path)
    first.write_text("x = 1")
    second.write_text("")
    assert jit.source_hash(tmp_path) != before


NOWHERE = os.devnull + "/none"  # cannot be created, not even by root


def lowest_voltage() -> float:
    """What `SWEEP` prints, of this process."""
    net = physics.compile(cases.load("case33bw"))
    flow: Any = physics.linear.lin_dist_flow(net).evaluate()
    return float(flow.v_pu.min())


@pytest.mark.slow
def test_without_any_writable_folder(tmp_path: Path) -> None:
    """Trap 25c: no HOME, no XDG, no TMPDIR: kernels are compiled for the process and compute the same."""
    hidden = "import tempfile\ndef none(): raise FileNotFoundError('no usable temporary directory')\n"
    folder, v_pu = run(hidden + "tempfile.gettempdir = none\n" + SWEEP, {"HOME": NOWHERE}, tmp_path).split()
    assert folder == "None"
    assert 0.9 < float(v_pu) == lowest_voltage() < 1.0


@pytest.mark.slow
def test_unwritable_home_falls_back_to_the_temporary_folder(tmp_path: Path) -> None:
    """Trap 25c: HOME cannot be written, TMPDIR can: the cache is there."""
    folder, v_pu = run(SWEEP, {"HOME": NOWHERE, "TMPDIR": str(tmp_path)}, tmp_path).split()
    assert Path(folder).is_relative_to(tmp_path)
    assert list(Path(folder).rglob("*.nbi"))
    assert float(v_pu) == lowest_voltage()


def choose(monkeypatch: pytest.MonkeyPatch, **env: str) -> Path | None:
    for name in ("DISTGRID_CACHE_DIR", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    return jit.cache_folder()


def test_which_folder_is_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trap 25c: the one asked for, else XDG, else ~/.cache, else the temporary folder, else none."""
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path / "tmp"))
    places = {name: tmp_path / name for name in ("asked", "xdg", "home")}
    for place in (*places.values(), tmp_path / "tmp"):
        place.mkdir()
    asked = {"DISTGRID_CACHE_DIR": str(places["asked"])}
    xdg, home = {"XDG_CACHE_HOME": str(places["xdg"])}, {"HOME": str(places["home"])}

    def within(folder: Path | None, place: Path) -> bool:
        return folder is not None and folder.is_relative_to(place)

    assert within(choose(monkeypatch, **asked, **xdg, **home), places["asked"])
    assert within(choose(monkeypatch, **xdg, **home), places["xdg"])
    assert within(choose(monkeypatch, **home), places["home"] / ".cache")
    assert within(choose(monkeypatch, XDG_CACHE_HOME=NOWHERE, HOME=NOWHERE), tmp_path / "tmp")
    assert choose(monkeypatch, DISTGRID_CACHE_DIR=NOWHERE, **home) is None
    monkeypatch.setattr(tempfile, "gettempdir", lambda: NOWHERE)
    assert choose(monkeypatch, HOME=NOWHERE) is None


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="owners of folders are a POSIX idea")
def test_a_folder_of_somebody_else_is_not_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache holds machine code: in a shared temporary folder it must be ours and closed to others."""
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    planted = tmp_path / f"distgrid-{os.getuid()}"
    planted.mkdir()
    planted.chmod(0o777)
    assert choose(monkeypatch, HOME=NOWHERE) is None
    planted.chmod(0o700)
    assert choose(monkeypatch, HOME=NOWHERE) is not None
    monkeypatch.setattr(os, "getuid", lambda: 4242)
    planted.rename(tmp_path / "distgrid-4242")
    assert choose(monkeypatch, HOME=NOWHERE) is None
