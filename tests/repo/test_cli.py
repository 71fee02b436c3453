"""The command: what the user got wrong is told in plain words, without a traceback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import distgrid
from distgrid import cli
from distgrid.cases import CaseError


def run(*argv: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """`python -m distgrid ...` in another process and folder."""
    command = [sys.executable, "-m", "distgrid", *argv]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=120)


def failing_app(error: Exception) -> typer.Typer:
    """A command line whose only verb raises."""
    app = typer.Typer(pretty_exceptions_enable=False)

    @app.callback()
    def root() -> None: ...

    @app.command()
    def fail() -> None:
        raise error

    return app


def test_version() -> None:
    result = CliRunner().invoke(cli.build_app(), ["version"])
    assert result.exit_code == 0
    assert result.stdout.strip() == distgrid.__version__


def test_help_names_every_verb() -> None:
    result = CliRunner().invoke(cli.build_app(), ["--help"])
    assert result.exit_code == 0
    for verb in ("case", "dist", "run", "version"):
        assert verb in result.stdout


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ValueError("day 400 is outside 0..365"), 2),
        (CaseError([]), 2),
        (OSError(28, "No space left on device"), 1),
    ],
)
def test_errors_become_a_message_and_an_exit_code(
    error: Exception, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "build_app", lambda _: failing_app(error))
    with pytest.raises(SystemExit) as caught:
        cli.main(["fail"])
    assert caught.value.code == code
    shown = capsys.readouterr().err
    assert shown == f"distgrid: error: {error}\n"


def test_a_bug_is_not_dressed_up_as_wrong_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "build_app", lambda _: failing_app(ZeroDivisionError("a bug")))
    with pytest.raises(ZeroDivisionError, match="a bug"):
        cli.main(["fail"])


def test_debugging_shows_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISTGRID_DEBUG", "1")
    monkeypatch.setattr(cli, "build_app", lambda _: failing_app(ValueError("wrong")))
    with pytest.raises(ValueError, match="wrong"):
        cli.main(["fail"])


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["case", "show", "case33bx"], "case33bw"),
        (["case", "import", "missing.m", "-o", "out"], "missing.m"),
        (["run", "distgrid/VoltVar-33bx-v0", "--policy", "do-nothing", "--out", "out"], "VoltVar-33bw"),
        (["run", "distgrid/VoltVar-33bw-v0", "--policy", "do-nothin", "--out", "out"], "do-nothing"),
        (
            ["run", "distgrid/VoltVar-33bw-v0", "--policy", "do-nothing", "--split", "tests", "--out", "out"],
            "test",
        ),
        (["fly"], "fly"),
    ],
)
def test_wrong_input_gets_advice_and_leaves_nothing_behind(
    argv: list[str],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The issue's list of bad input: an unknown name suggests the nearest one."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as caught:
        cli.main(argv)
    shown = capsys.readouterr()
    assert caught.value.code == 2, shown.out + shown.err
    assert says in shown.err
    assert "Traceback" not in shown.err
    assert list(tmp_path.iterdir()) == []


def test_a_process_tells_wrong_input_the_same_way(tmp_path: Path) -> None:
    done = run("case", "show", "case33bx", cwd=tmp_path)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "case33bw" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
