"""A kind of job that nobody foresaw: killed, resumed, on every engine, and as a command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import typer
from typer.testing import CliRunner

from distgrid.baselines.cli.job_command import command_of
from distgrid.baselines.errors import RunError
from distgrid.baselines.jobs.job import JobOutcome, Part
from distgrid.baselines.jobs.runner import prepared, run_job

from .made_up import Primes, PrimesConfig

Script = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def script() -> Iterator[Script]:
    """The made-up job in a process of its own: a function that gives its exit status and what it said."""
    if not hasattr(os, "fork"):
        pytest.skip("children as of os.fork")
    environment = {**os.environ, "LOKY_MAX_CPU_COUNT": "2"}
    server = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("made_up.py"))],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip
    assert server.stdin is not None
    assert server.stdout is not None
    asked, told = server.stdin, server.stdout

    def run(out: Path, engine: str, **environment: str) -> tuple[int, str]:
        log = out.with_name(f"{out.name}.log")  # a pipe would be held open by workers of a killed process
        words = {"out": str(out), "engine": engine, "log": str(log), "environment": environment}
        asked.write(f"{json.dumps(words)}\n")
        asked.flush()
        return int(told.readline()), log.read_text()

    yield run
    asked.close()
    assert server.wait(timeout=30) == 0
    told.close()


def done(out: Path | None, engine: str = "local", **config: int) -> JobOutcome:
    job = Primes(PrimesConfig(**config))
    with prepared(job) as context:
        return run_job(job, context, out, engine=engine, chunk_size=2)


def tables(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*.parquet")}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The bytes of a run that nothing happened to."""
    out = tmp_path_factory.mktemp("whole") / "out"
    done(out)
    return tables(out)


def test_what_it_finds(whole: dict[str, bytes], tmp_path: Path) -> None:
    """The ruler itself: 109 primes below 600, in the order of the blocks."""
    found = done(None).tables["primes"]
    assert found.num_rows == 109
    assert found["prime"].to_pylist() == sorted(found["prime"].to_pylist())
    done(tmp_path)
    assert pq.read_table(tmp_path / "primes.parquet").equals(found)
    assert len(whole) == 1 + 6


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["local", pytest.param("processes", marks=pytest.mark.slow)])
def test_killed_and_resumed_gives_the_same_bytes(
    engine: str, whole: dict[str, bytes], script: Script, tmp_path: Path
) -> None:
    """Capability 77: kill -9 in the middle of a job of a made-up kind; the same command ends it."""
    out = tmp_path / "out"
    code, stderr = script(out, engine, DIES_AT_BLOCK="9")
    assert code == -9, stderr
    stopped = json.loads((out / "run.json").read_text())
    finished = [chunk["index"] for chunk in stopped["chunks"] if chunk["status"] == "done"]
    assert stopped["status"] == "running"
    assert len(finished) < 6
    if engine == "local":
        assert finished == [0, 1, 2, 3]
    code, stderr = script(out, engine)
    assert code == 0, stderr
    assert tables(out) == whole
    resumed = json.loads((out / "run.json").read_text())
    assert (resumed["status"], resumed["timings"]["sittings"], resumed["id"]) == ("done", 2, stopped["id"])
    for index in finished:
        assert resumed["chunks"][index] == stopped["chunks"][index]


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("processes", "ray")]


@pytest.mark.parametrize("engine", ["local", *SLOW])
def test_every_engine_gives_the_same_bytes(
    engine: str, whole: dict[str, bytes], script: Script, tmp_path: Path
) -> None:
    """Capability 78: this process, all cores, a Ray cluster on this machine; only the driver writes."""
    if engine == "ray":
        pytest.importorskip("ray")
    code, stderr = script(tmp_path / "out", engine, HOME=str(tmp_path))  # where ray keeps a file of its own
    assert code == 0, stderr
    assert tables(tmp_path / "out") == whole


def test_other_parameters_are_another_run(tmp_path: Path) -> None:
    """A folder belongs to one run: kind, configuration and code of distgrid."""
    done(tmp_path / "out")
    with pytest.raises(RunError, match="size: 50 in the folder, 60 asked for"):
        done(tmp_path / "out", size=60)
    assert done(tmp_path / "out").complete


class OtherPrimes(Primes):
    """The same kind and configuration, other code."""

    def do(self, context: None, item: int) -> Part:
        return super().do(context, item + 1)


def test_other_code_of_the_job_is_another_run(tmp_path: Path) -> None:
    """Trap 39: a job of somebody's own is known by its code."""
    done(tmp_path / "out")
    job = OtherPrimes(PrimesConfig())
    with pytest.raises(RunError, match="input code of made-up"), prepared(job) as context:
        run_job(job, context, tmp_path / "out", chunk_size=2)


def made_up(arguments: list[str]) -> Any:
    """The command of the made-up job, made from its configuration."""
    app = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command("made-up")(command_of(Primes))
    return CliRunner().invoke(app, arguments)


def test_the_command_comes_with_the_configuration(tmp_path: Path) -> None:
    """One configuration model and one job are a verb: options, help, schema, resume, exit status."""
    help_text = made_up(["--help"]).stdout
    for told in ("--blocks", "--size", "How many blocks.", "12", "--out", "--fresh", "--engine", "--config"):
        assert told in help_text
    schema = json.loads(made_up(["--schema"]).stdout)
    assert schema["properties"]["blocks"]["minimum"] == 1
    assert schema["additionalProperties"] is False
    out = tmp_path / "out"
    first = made_up(["--blocks", "3", "--out", str(out)])
    assert first.exit_code == 0
    assert str(out / "primes.parquet") in first.stdout
    assert "complete already" in made_up(["--blocks", "3", "--out", str(out)]).stdout
    assert isinstance(made_up(["--blocks", "4", "--out", str(out)]).exception, RunError)
    assert made_up(["--blocks", "4", "--out", str(out), "--fresh"]).exit_code == 0
    assert json.loads((out / "run.json").read_text())["command"][:4] == [
        "distgrid",
        "made-up",
        "--blocks",
        "4",
    ]
    assert made_up(["--blocks", "4"]).exit_code == 2


@pytest.mark.parametrize(
    ("name", "text"),
    [("c.yaml", "blocks: 3\nsize: 20\n"), ("c.toml", "blocks = 3\nsize = 20\n"),
     ("c.json", '{"blocks": 3, "size": 20}')],
)  # fmt: skip
def test_options_from_a_file(name: str, text: str, tmp_path: Path) -> None:
    """What the file says, unless the command line says otherwise."""
    (tmp_path / name).write_text(text)
    for more, size in (([], 20), (["--size", "30"], 30)):
        out = tmp_path / f"out{size}"
        done = made_up(["--config", str(tmp_path / name), "--out", str(out), *more])
        assert done.exit_code == 0, done.output
        assert json.loads((out / "run.json").read_text())["parameters"] == {"blocks": 3, "size": size}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("c.yaml", "blokcs: 3", "c.yaml, line 1: blokcs: unknown key 'blokcs'; did you mean 'blocks'?"),
        ("c.toml", "blocks = 0", "c.toml: blocks must be a whole number of at least 1, got 0"),
        ("c.json", '{"blocks": "many"}', "c.json: blocks must be a whole number of at least 1, got 'many'"),
        ("c.yaml", "- 3", "must hold a mapping of names to values"),
        ("c.json", "{", "c.json cannot be read"),
        ("c.yaml", "a: [", "c.yaml cannot be read"),
        ("c.txt", "", "must end in .yaml, .yml, .toml or .json"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(name: str, text: str, message: str, tmp_path: Path) -> None:
    """Bad input: the file, the field, the value, and what was expected."""
    (tmp_path / name).write_text(text)
    caught = made_up(["--config", str(tmp_path / name), "--out", str(tmp_path / "out")]).exception
    assert isinstance(caught, RunError)
    assert message in str(caught)
    assert not (tmp_path / "out").exists()
    wrong = made_up(["--blocks", "0", "--out", str(tmp_path / "out")]).exception
    assert str(wrong) == "--blocks must be a whole number of at least 1, got 0"
    missing = made_up(["--config", str(tmp_path / "none.yaml"), "--out", str(tmp_path / "out")]).exception
    assert "cannot read" in str(missing)
