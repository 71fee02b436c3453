"""The editable install that `make` makes is found whatever lies in the working directory."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import distgrid

pytestmark = pytest.mark.slow  # a copy of the checkout is installed


def installed_with(venv: Path, source: Path) -> None:
    """What `make` does up to the runtime's stamp, by its own recipe, without a network."""
    stamp = venv / ".installed-runtime"
    pip = f"{venv}/bin/python -m pip install --quiet --no-build-isolation --no-deps --no-index"
    done = subprocess.run(
        ["make", str(stamp), f"VENV={venv}", f"PIP={pip}"],
        cwd=source,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert stamp.exists()


@pytest.fixture(scope="module")
def world(
    copied_sources: Callable[..., Path],
    tmp_path_factory: pytest.TempPathFactory,
    empty_environment: Callable[[Path], Path],
) -> Path:
    """A folder with a checkout `src` (without the data of the feeders) and a `venv` that `make` filled."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    folder = tmp_path_factory.mktemp("editable")
    copied_sources(folder, without=("data",))
    installed_with(empty_environment(folder), folder / "src")
    return folder


def run(world: Path, *command: str, cwd: Path, **env: str) -> str:
    """Standard output of a command of the virtual environment."""
    keep = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    done = subprocess.run(
        [str(world / "venv" / "bin" / command[0]), *command[1:]], cwd=cwd, env=keep | env,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


WHERE = "import importlib.util as i; print(i.find_spec('distgrid').origin)"
TEST = "import importlib.util as i\ndef test_origin():\n    assert i.find_spec('distgrid').origin == {!r}\n"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A working directory with somebody's data in a folder `distgrid`."""
    (tmp_path / "distgrid" / "runs").mkdir(parents=True)
    (tmp_path / "distgrid" / "loads.csv").write_text("bus,p_mw\n1,0.1\n")
    return tmp_path


def test_a_data_folder_does_not_hide_the_checkout(world: Path, data: Path) -> None:
    """`python -c`, a script, a folder on PYTHONPATH and pytest, whose working directories come first."""
    checkout = str(world / "src" / "__init__.py")
    assert run(world, "python", "-c", WHERE, cwd=data) == checkout
    (data / "script.py").write_text(WHERE)
    assert run(world, "python", "script.py", cwd=data) == checkout
    assert run(world, "python", "-c", WHERE, cwd=world, PYTHONPATH=str(data)) == checkout
    (data / "test_it.py").write_text(TEST.format(checkout))
    run(world, "python", "-m", "pytest", "-q", "test_it.py", cwd=data)


def test_both_commands_start_beside_a_data_folder(world: Path, data: Path) -> None:
    """`python -m distgrid` and the console script."""
    assert run(world, "python", "-m", "distgrid", "version", cwd=data) == distgrid.__version__
    assert run(world, "distgrid", "version", cwd=data) == distgrid.__version__


def test_a_package_with_code_still_comes_first(world: Path, data: Path) -> None:
    """Somebody's own package of that name, or a built one on PYTHONPATH, as the static checks use it."""
    other = data / "distgrid" / "__init__.py"
    other.write_text("")
    assert run(world, "python", "-c", WHERE, cwd=data) == str(other)
    assert run(world, "python", "-c", WHERE, cwd=world, PYTHONPATH=str(data)) == str(other)


def test_other_names_are_found_as_ever(world: Path, tmp_path: Path) -> None:
    """Nothing but the one name is touched; without the install there is nothing to find."""
    code = "import importlib.util as i; print(i.find_spec('distgrids'), i.find_spec('json').name)"
    assert run(world, "python", "-c", code, cwd=tmp_path) == "None json"
