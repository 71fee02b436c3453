"""A folder from somebody else: whatever its run.json says, nothing outside is touched and nothing hangs."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from distgrid import baselines
from distgrid.baselines.errors import RunError
from distgrid.baselines.jobs.files import file_sha256
from distgrid.cli import main

from .mortal import make_env
from .plans import PLANS, Manifest


def play(out: Path, **options: Any) -> baselines.RunResult:
    options = {"progress": False, "report": False, "chunk_episodes": 2, **options}
    return baselines.rollout(make_env, ["do-nothing", "volt-var-fuzzy"], 4, out=out, **options)


def content(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of two policies in two chunks each; tests work on copies."""
    out = tmp_path_factory.mktemp("finished") / "out"
    play(out)
    return out


@pytest.fixture
def out(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "inside" / "out"))


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A file beside the folder, which nothing may touch."""
    path = tmp_path / "inside" / "thesis.parquet"
    path.parent.mkdir(exist_ok=True)
    path.write_text("mine")
    return path


def rewrite(out: Path, change: Callable[[Manifest], None]) -> None:
    told = json.loads((out / "run.json").read_text())
    change(told)
    (out / "run.json").write_text(json.dumps(told))


@pytest.mark.parametrize("change", PLANS, ids=[change.__name__ for change in PLANS])
def test_a_run_json_that_is_no_whole_run_in_order_is_refused(
    change: Callable[[Manifest], None], out: Path
) -> None:
    """Trap 41: chunks missing, doubled, reordered, renumbered, of absurd size; nothing is touched."""
    rewrite(out, change)
    before = content(out)
    with pytest.raises(RunError, match="is damaged, or not written by distgrid"):
        play(out)
    assert content(out) == before


@pytest.mark.parametrize("where", ["absolute", "above", "doubled dots", "backslash"])
@pytest.mark.parametrize("listed", ["chunk", "outputs"])
@pytest.mark.parametrize("fresh", [False, True])
def test_paths_out_of_the_folder_are_refused(
    where: str, listed: str, fresh: bool, out: Path, victim: Path
) -> None:
    """Trap 41: resumed and thrown away alike, nobody's files go."""
    path = {
        "absolute": str(victim), "above": "../thesis.parquet", "doubled dots": "parts/../../thesis.parquet",
        "backslash": "..\\thesis.parquet",
    }[where]  # fmt: skip

    def change(told: Manifest) -> None:
        files = told["chunks"][0]["files"] if listed == "chunk" else told["outputs"]
        files[0]["path"] = path

    rewrite(out, change)
    before = content(out)
    with pytest.raises(RunError, match="which is no file of such a run"):
        play(out, fresh=fresh)
    assert victim.read_text() == "mine"
    assert content(out) == before


def link(path: Path, victim: Path) -> None:
    path.unlink()
    path.symlink_to(victim)


def pipe(path: Path, victim: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def device(path: Path, victim: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def directory(path: Path, victim: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", ["run.json", "parts/00001.nodes.parquet", "steps.parquet", "report.png"])
@pytest.mark.parametrize("make", [link, pipe, device, directory])
@pytest.mark.parametrize("fresh", [False, True])
def test_what_is_no_regular_file_is_refused(
    make: Callable[[Path, Path], None], name: str, fresh: bool, out: Path, victim: Path
) -> None:
    """Trap 41: links, pipes, devices and folders in the place of any file: no hang, nothing followed."""
    (out / name).touch()
    make(out / name, victim)
    with pytest.raises(RunError, match="not a regular file"):
        play(out, fresh=fresh)
    assert victim.read_text() == "mine"
    assert os.path.lexists(out / name)


@pytest.mark.parametrize("fresh", [False, True])
def test_a_folder_of_parts_that_leads_elsewhere_is_refused(fresh: bool, out: Path, tmp_path: Path) -> None:
    """Trap 41: --fresh would remove the parts of another run through it."""
    elsewhere = tmp_path / "elsewhere"
    (out / "parts").rename(elsewhere)
    (out / "parts").symlink_to(elsewhere)
    before = content(elsewhere)
    with pytest.raises(RunError, match="parts is a link, not a folder"):
        play(out, fresh=fresh)
    assert content(elsewhere) == before


def test_a_planted_temporary_file_is_not_written_through(out: Path, victim: Path) -> None:
    """A link with the name of the file that is written next."""
    for name in ("run.json", "steps.parquet"):
        (out / f".{name}.{os.getpid()}.distgrid-tmp").symlink_to(victim)
    play(out, fresh=True)
    assert victim.read_text() == "mine"
    assert not list(out.glob(".*"))


def test_files_of_absurd_size_are_not_read(out: Path) -> None:
    """Files with holes, of a terabyte on paper: a part is made again, a run.json is refused."""
    part = out / "parts" / "00000.steps.parquet"
    good = part.read_bytes()
    with part.open("r+b") as file:
        file.truncate(1 << 40)
    assert play(out).computed == 1
    assert part.read_bytes() == good
    with (out / "run.json").open("r+b") as file:
        file.truncate(1 << 40)
    with pytest.raises(RunError, match="larger than the"):
        play(out)


def test_a_part_with_the_right_hash_and_other_episodes_is_refused(out: Path) -> None:
    """Somebody else may have hashed what he made: chunk 1 with the tables of chunk 0."""
    for kind in ("steps", "nodes", "branches", "violations"):
        shutil.copy(out / f"parts/00000.{kind}.parquet", out / f"parts/00001.{kind}.parquet")

    def change(told: Manifest) -> None:
        for mine, other in zip(told["chunks"][1]["files"], told["chunks"][0]["files"], strict=True):
            mine["sha256"], mine["size_bytes"] = other["sha256"], other["size_bytes"]

    rewrite(out, change)
    with pytest.raises(RunError, match="does not hold the episodes 2 to 3"):
        play(out)


@pytest.mark.parametrize("column", ["episode", "policy", "reward"])
def test_a_part_without_a_column_is_refused(column: str, out: Path) -> None:
    """Hashed anew by whoever took the column away."""
    for index in range(4):
        path = out / f"parts/{index:05d}.steps.parquet"
        pq.write_table(pq.read_table(path).drop_columns([column]), path)

    def change(told: Manifest) -> None:
        for chunk in told["chunks"]:
            path = out / chunk["files"][0]["path"]
            size = path.stat().st_size
            chunk["files"][0].update(sha256=file_sha256(path, size), size_bytes=size)

    rewrite(out, change)
    with pytest.raises(RunError, match="is damaged, or not written by distgrid"):
        play(out)


def test_control_characters_do_not_reach_the_terminal(out: Path) -> None:
    """A run.json may say anything; the error about it is plain text."""

    def change(told: Manifest) -> None:
        told["id"] = "\x1b]0;title\x07\x1b[2J"
        told["parameters"]["environment"] = "\x1b[31mred"

    rewrite(out, change)
    with pytest.raises(RunError, match="holds another run") as caught:
        play(out)
    assert "\x1b" not in str(caught.value)
    assert "\x07" not in str(caught.value)


# -- the workflows -------------------------------------------------------------------------------------------


def command(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Exit code and stderr."""
    with pytest.raises(SystemExit) as left:
        main(["dist", *arguments])
    return int(left.value.code or 0), capsys.readouterr().err


VERBS = [["pf", "case33bw"], ["controls", "ieee13"]]


@pytest.mark.quick(3)
@pytest.mark.parametrize("verb", VERBS, ids=["pf", "controls"])
@pytest.mark.parametrize("where", ["absolute", "above", "stranger"])
@pytest.mark.parametrize("fresh", [[], ["--fresh"]], ids=["again", "fresh"])
def test_workflows_remove_nothing_but_their_own_tables(
    verb: list[str], where: str, fresh: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Trap 41: a crafted run.json made both delete files elsewhere."""
    out = tmp_path / "inside" / "out"
    arguments = [*verb, "--out", str(out), *fresh]
    assert command([*verb, "--out", str(out)], capsys)[0] == 0
    victim = tmp_path / "inside" / "thesis.parquet" if where != "stranger" else out / "thesis.parquet"
    victim.write_text("mine")
    path = {"absolute": str(victim), "above": "../thesis.parquet", "stranger": "thesis.parquet"}[where]

    def change(told: Manifest) -> None:
        told["outputs"][0]["path"] = path

    rewrite(out, change)
    before = content(out)
    code, err = command(arguments, capsys)
    assert code == 2
    assert "which is no file of such a run" in err
    assert victim.read_text() == "mine"
    assert content(out) == before


@pytest.mark.quick(3)
@pytest.mark.timeout(60)
@pytest.mark.parametrize("verb", VERBS, ids=["pf", "controls"])
@pytest.mark.parametrize("make", [link, pipe, device, directory])
def test_workflows_follow_nothing(
    verb: list[str], make: Callable[[Path, Path], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Trap 41: in the place of run.json, or of a table."""
    victim = tmp_path / "thesis.parquet"
    victim.write_text("mine")
    arguments = [*verb, "--out", str(tmp_path / "out")]
    assert command(arguments, capsys)[0] == 0
    for name in (json.loads((tmp_path / "out" / "run.json").read_text())["outputs"][0]["path"], "run.json"):
        make(tmp_path / "out" / name, victim)
        for fresh in ([], ["--fresh"]):
            code, err = command([*arguments, *fresh], capsys)
            assert code == 2
            assert "not a regular file" in err
    assert victim.read_text() == "mine"


def test_every_table_of_a_workflow_is_in_its_plan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The list of what may be removed is that of what is written."""
    from distgrid.baselines.workflows.dist.controls_job import ControlsJob
    from distgrid.baselines.workflows.dist.pf_job import PowerFlowJob

    written: dict[str, set[str]] = {"dist pf": set(), "dist controls": set()}
    for verb in (["pf", "ieee13"], ["pf", "case33bw"], ["controls", "ieee13"]):
        out = tmp_path / "-".join(verb)
        assert command([*verb, "--out", str(out)], capsys)[0] in (0, 3)
        written[f"dist {verb[0]}"] |= {path.stem for path in out.glob("*.parquet")}
    assert written == {job.kind: set(job.tables) for job in (PowerFlowJob, ControlsJob)}


def test_a_copy_of_a_finished_run_is_still_finished(out: Path) -> None:
    """The ruler itself: without a change, nothing is refused."""
    assert play(out).computed == 0
    rewrite(out, lambda told: told["chunks"].sort(key=lambda chunk: chunk["index"]))
    again = play(out)
    assert (again.computed, again.episodes.num_rows) == (0, 8)
