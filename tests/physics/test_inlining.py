"""How helpers of kernels are compiled: as drafts with the releases of Numba that were tried, else plainly."""

from __future__ import annotations

import json
import os
import re
import runpy
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numba
import numba.core.codegen
import numba.core.compiler
import numba.core.compiler_machinery
import pytest

from distgrid import cli, physics
from distgrid.physics.numba_tools import inlining, jit


def run(script: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """A script in another process, with a cache of kernels of its own beside it."""
    keep = {k: v for k, v in os.environ.items() if not k.startswith(("DISTGRID_", "NUMBA_"))}
    return subprocess.run(
        [sys.executable, script],
        env={**keep, "DISTGRID_CACHE_DIR": str(script.parent / "cache"), **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )


def written(code: str, folder: Path) -> Path:
    """A script with this code."""
    script = folder / "script.py"
    script.write_text(code)
    return script


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Nothing chosen by hand, a release that was tried, and the module of drafts not imported yet."""
    monkeypatch.setattr(numba, "__version__", "0.68.0")
    monkeypatch.delenv(inlining.VARIABLE, raising=False)
    monkeypatch.delitem(sys.modules, "distgrid.physics.numba_tools.drafts", raising=False)
    monkeypatch.delattr(physics, "_draft", raising=False)
    return monkeypatch


@pytest.mark.parametrize(
    ("version", "untried"),
    [
        ("0.60.0", True), ("0.61.0", False), ("0.61.0rc2", False), ("0.68.1", False), ("0.69.0", True),
        ("1.0.0", True), ("1.65.0", True), ("0.100.0", True), ("0.6.9", True), ("unknown", True), ("", True),
    ],
)  # fmt: skip
def test_which_releases_were_tried(version: str, untried: bool) -> None:
    """Both ends of the range belong to it, by minor release and as numbers, not as text."""
    assert inlining.TRIED_NUMBA == ((0, 61), (0, 68))
    assert inlining.untried(version) is untried


def test_the_range_begins_with_the_lowest_release_that_is_allowed(repo_root: Path) -> None:
    """What pyproject.toml lets in at its lower end was tried, and what `make` installs."""
    oldest = re.search(r'"numba>=([\d.]+)"', (repo_root / "pyproject.toml").read_text())
    pinned = re.search(r"^numba==([\d.]+)$", (repo_root / "constraints.txt").read_text(), re.MULTILINE)
    assert oldest is not None
    assert pinned is not None
    for found in (oldest, pinned):
        assert not inlining.untried(found[1]), "see TRIED_NUMBA in physics/numba_tools/inlining.py"


def test_a_tried_release_makes_drafts_without_a_word(fresh: pytest.MonkeyPatch) -> None:
    compiler = inlining.draft_compiler()
    assert compiler is not None
    assert compiler.__name__ == "DraftCompiler"


@pytest.mark.parametrize("version", ["0.60.1", "0.69.0", "1.0.0dev0+12.gabc", "?"])
def test_an_untried_release_is_told_once_and_compiled_plainly(
    version: str, fresh: pytest.MonkeyPatch
) -> None:
    fresh.setattr(numba, "__version__", version)
    with pytest.warns(physics.InliningWarning, match="Numba .* is not among the releases tried") as told:
        assert inlining.draft_compiler() is None
    assert len(told) == 1
    assert version in str(told[0].message)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (numba.core.codegen, "JITCodeLibrary"),
        (numba.core.codegen.JITCodeLibrary, "_finalize_dynamic_globals"),
        (numba.core.codegen.JITCodeLibrary, "_optimize_final_module"),
        (numba.core.compiler, "CompilerBase"),
        (numba.core.compiler, "DefaultPassBuilder"),
        (numba.core.compiler.DefaultPassBuilder, "define_nopython_pipeline"),
        (numba.core.compiler_machinery, "LoweringPass"),
        (numba.core.compiler_machinery, "register_pass"),
    ],
)
def test_a_missing_part_is_told_once_and_compiled_plainly(
    module: Any, name: str, fresh: pytest.MonkeyPatch
) -> None:
    """Also within a release that was tried: a patched build, a distribution's own."""
    bases = module.__mro__ if isinstance(module, type) else (module,)
    fresh.delattr(next(base for base in bases if name in vars(base)), name)
    with pytest.warns(physics.InliningWarning, match="lacks what drafts of helpers stand on") as told:
        assert inlining.draft_compiler() is None
    assert len(told) == 1


def test_a_missing_module_is_a_missing_part(fresh: pytest.MonkeyPatch) -> None:
    fresh.setitem(sys.modules, "numba.core.compiler_machinery", None)
    with pytest.warns(physics.InliningWarning, match="lacks"):
        assert inlining.draft_compiler() is None


def test_the_way_can_be_chosen_by_hand(fresh: pytest.MonkeyPatch) -> None:
    """`plain` is silent, `draft` tries an untried release and fails aloud; anything else is refused."""
    fresh.setattr(numba, "__version__", "0.99.0")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fresh.setenv(inlining.VARIABLE, "plain")
        assert inlining.draft_compiler() is None
        fresh.setenv(inlining.VARIABLE, "draft")
        assert inlining.draft_compiler() is not None
    fresh.delitem(sys.modules, "distgrid.physics.numba_tools.drafts")
    fresh.delattr(numba.core.codegen, "JITCodeLibrary")
    with pytest.raises(ImportError, match="JITCodeLibrary"):
        inlining.draft_compiler()
    fresh.setenv(inlining.VARIABLE, "drafts")
    with pytest.raises(ValueError, match="DISTGRID_INLINE is 'drafts': expected 'draft' or 'plain'"):
        inlining.draft_compiler()


def test_options_that_a_release_does_not_know_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The plain way needs nothing but what Numba documents."""
    monkeypatch.setattr(inlining, "NO_C_DOOR", {"no_such_option": True})
    monkeypatch.setattr(inlining, "UNCOUNTED", {"nor_this": False})
    kernel, lean, helper = inlining.options(None)
    assert kernel == lean == inlining.DOCUMENTED
    assert helper == {**kernel, "no_cpython_wrapper": True, "forceinline": True}


def test_both_ways_have_a_cache_of_their_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Trap 25c: Numba's cache knows neither how helpers were inlined nor its settings."""
    seen = {jit.source_hash(tmp_path)}
    monkeypatch.setattr(jit, "_COMPILER", None if jit._COMPILER else object)
    seen.add(jit.source_hash(tmp_path))
    for name, value in (("OPT", 1), ("BOUNDSCHECK", 1), ("SLP_VECTORIZE", 1), ("DEBUGINFO_DEFAULT", 1)):
        monkeypatch.setattr(numba.config, name, value)
        seen.add(jit.source_hash(tmp_path))
    monkeypatch.setattr("llvmlite.__version__", "0.0.1")
    seen.add(jit.source_hash(tmp_path))
    assert len(seen) == 7


DEVICES = """
import hashlib, warnings
import numpy as np
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    from distgrid import physics
from distgrid.envs.kernels import plants
from distgrid.physics.numba_tools import jit
rng = np.random.default_rng(3)
units, batch = 5, 7
state = [rng.uniform(0.1, 1.0, (batch, units)) for _ in range(4)]
columns, site = np.arange(units), np.zeros(units, np.int64)
rated = rng.uniform(0.5, 1.0, units)
plants.pv_advance(
    rng.uniform(-1.0, 1.0, (batch, units)), rng.uniform(0.0, 1.0, (96, 1)), np.arange(batch), site, rated,
    columns, columns, 1.1 * rated, 0.44 * rated, rated > 0.7, *state,
)
bits = hashlib.sha256(b"".join(a.tobytes() for a in state)).hexdigest()
told = [str(warning.message) for warning in told if issubclass(warning.category, physics.InliningWarning)]
"""


@pytest.mark.slow
def test_without_drafts_a_device_has_the_same_bits(tmp_path: Path) -> None:
    """The whole way, with a release from the future: one warning, and the numbers of this process."""
    tell = "import json; print(json.dumps([jit._COMPILER is None, bits, told]))\n"
    done = run(written(f"import numba; numba.__version__ = '0.99.0'\n{DEVICES}{tell}", tmp_path))
    assert done.returncode == 0, done.stderr
    plain, bits, told = json.loads(done.stdout)
    assert plain is True
    assert len(told) == 1
    assert told[0].startswith("Numba 0.99.0 is not among the releases tried (0.61 to 0.68)")
    assert runpy.run_path(str(written(DEVICES, tmp_path)))["bits"] == bits


SOLVE = """
import hashlib
import numpy as np
from distgrid import cases, physics
from distgrid.physics.numba_tools import jit
net = physics.compile(cases.load("case33bw"))
scale = np.linspace(1.0, 3.4, 17)[:, None]
sol = physics.solve(net, net.load_p_mw * scale, net.load_q_mvar * scale)
arrays = (sol.v, sol.i_ka, sol.iterations, sol.v_update_pu)
bits = hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest()
"""


@pytest.mark.slow  # compiles the kernels of a power flow
def test_without_drafts_a_power_flow_has_the_same_bits(tmp_path: Path) -> None:
    """Lanes of rows and a lone one, from nominal load to collapse. CI runs the whole suite that way."""
    done = run(written(f"{SOLVE}print(jit._COMPILER, bits)", tmp_path), DISTGRID_INLINE="plain")
    assert done.returncode == 0, done.stderr
    compiler, bits = done.stdout.split()
    assert compiler == "None"
    assert runpy.run_path(str(written(SOLVE, tmp_path)))["bits"] == bits


@pytest.mark.slow
def test_a_disabled_compiler_is_told_in_words(tmp_path: Path) -> None:
    """`NUMBA_DISABLE_JIT=1`: feeders can be read; the first kernel says why it cannot run."""
    code = (
        "from distgrid import cases, physics\n"
        "print(cases.load('case33bw').n_nodes)\n"
        "try:\n"
        "    physics.solve(physics.compile(cases.load('case33bw')))\n"
        "except physics.JitDisabledError as error:\n"
        "    print(error)\n"
    )
    done = run(written(code, tmp_path), NUMBA_DISABLE_JIT="1")
    assert done.returncode == 0, done.stderr
    nodes, words = done.stdout.splitlines()
    assert nodes == "33"
    assert words.startswith("NUMBA_DISABLE_JIT is set")
    assert "Unset it" in words
    assert not (tmp_path / "cache").exists()  # nothing was compiled


def test_the_command_tells_of_a_disabled_compiler(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 1 and one line, as for whatever else the machine refuses."""

    def refuse(_: list[str]) -> None:
        raise physics.JitDisabledError

    monkeypatch.setattr(cli, "build_app", refuse)
    with pytest.raises(SystemExit) as caught:
        cli.main(["run"])
    assert caught.value.code == 1
    assert capsys.readouterr().err.startswith("distgrid: error: NUMBA_DISABLE_JIT is set")
