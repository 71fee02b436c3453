"""What README, CONTRIBUTING and the site show is run: Python blocks and shell commands, page by page."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import gymnasium
import pytest

import distgrid
from distgrid import cases, cli

ROOT = Path(__file__).resolve().parents[2]
CONTRIBUTING = ROOT / "CONTRIBUTING.md"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), CONTRIBUTING]


def fenced(page: Path, language: str) -> list[tuple[int, str]]:
    """(line number, text) of each block of a language."""
    text = page.read_text()
    pattern = re.compile(rf"^```{language}\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    return [(text.count("\n", 0, match.start(1)), match[1]) for match in pattern.finditer(text)]


def pages_with(language: str) -> list[object]:
    """One test case for each page that has such a block."""
    return [pytest.param(page, id=str(page.relative_to(ROOT))) for page in PAGES if fenced(page, language)]


@pytest.mark.quick(5)
@pytest.mark.parametrize("page", pages_with("python"))
def test_python_blocks_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The blocks of a page share their names, as they do for a reader who types them in."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "__main__"}
    for line, source in fenced(page, "python"):
        code = compile("\n" * line + source, str(page), "exec")
        exec(code, names)  # noqa: S102  -- our own documents


NOT_RUN = [page for page in PAGES if fenced(page, "py")]


@pytest.mark.parametrize("page", NOT_RUN, ids=lambda page: page.stem)
def test_blocks_that_are_not_run_are_python_and_say_so(page: Path) -> None:
    """Blocks marked `py` need a library that the tests do not have; the ids that they name are registered."""
    assert "not among the libraries of the tests" in page.read_text()
    assert distgrid.__version__, "imported: its environments are registered"
    for line, source in fenced(page, "py"):
        compile("\n" * line + source, str(page), "exec")
        named = re.findall(r'"(?:distgrid:)?(distgrid/[^"]+)"', source)
        assert all(identity in gymnasium.registry for identity in named), named


def shell_commands(page: Path) -> list[str]:
    """The commands of a page's bash blocks, `make` targets replaced by what they would run."""
    commands = []
    for _, block in fenced(page, "bash"):
        commands += [line.partition(" #")[0].strip() for line in block.splitlines() if line.strip()]
    return commands


def commands_of_make(target: str) -> list[str]:
    """The `distgrid` commands of a target. The installation before them is not repeated here."""
    done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.replace("\\\n", " ").splitlines()
    return [
        re.sub(r"^\S*/distgrid ", "distgrid ", line) for line in lines if re.match(r"\S*/distgrid ", line)
    ]


def files_of(page: Path) -> list[tuple[str, str]]:
    """(name, content) of the files that a page shows: a line that begins with the name, then a csv block."""
    pattern = re.compile(r"^`([\w.]+\.csv)`[^\n]*\n\n```csv\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    return pattern.findall(page.read_text())


@cache
def commands_of(page: Path) -> tuple[str, ...]:
    """The `distgrid` commands of a page, those of its `make` targets among them.

    Tools of a checkout (`.venv/bin/…`) stand in CONTRIBUTING alone; test_contributing.py runs them.
    """
    commands: list[str] = []
    for command in shell_commands(page):
        if command.startswith("make "):
            commands += commands_of_make(command.removeprefix("make "))
        elif page != CONTRIBUTING or not command.startswith(".venv/bin/"):
            commands.append(command)
    return tuple(commands)


def family(command: str) -> tuple[str, ...]:
    """`run`, or verb and subverb: what has a door of its own."""
    words = shlex.split(command)
    assert words[0] == "distgrid", f"no rule for running {command!r}: mark the block as text, or add one here"
    return tuple(words[1:2] if words[1] == "run" else words[1:3])


def first_of_its_family(page: Path, command: str) -> bool:
    """Whether no page before this one, and no line before this one, shows a command of the family."""
    before = [c for earlier in PAGES[: PAGES.index(page)] for c in commands_of(earlier)]
    mine = commands_of(page)
    return family(command) not in {family(c) for c in (*before, *mine[: mine.index(command)])}


#: Of a Volt/VAR plan: few points, one type of day, one day.
SHORT_PLAN = [
    "--load-levels", "0.5,1", "--pv-levels", "0.5", "--moments", "2", "--starts", "1", "--most-exhaustive",
    "1000", "--day-types", f"any={int(cases.profiles.split_days('train')[0])}",
    "--days", str(int(cases.profiles.split_days("test")[0])),
]  # fmt: skip
#: Options that say how much is done: the least that is something.
LEAST = {"--episodes": "1", "--scenarios": "1", "--draws": "20", "--directions": "4"}


def shortened(words: list[str]) -> list[str]:
    """A command that does less of the same."""
    least = LEAST | ({"--days": "1"} if words[0] == "certify" else {})  # elsewhere it names days
    short = [least.get(before, word) for before, word in zip(["", *words], words, strict=False)]
    return short + SHORT_PLAN if words[:2] == ["adms", "vvo-plan"] else short


def in_a_process(words: list[str], folder: Path) -> str:
    """What a reader's shell does; returns what was wrong, or nothing."""
    done = subprocess.run(
        [sys.executable, "-m", "distgrid", *words],
        cwd=folder,
        env={**os.environ, "COLUMNS": "120"},
        capture_output=True,
        text=True,
        check=False,
    )
    return "" if done.returncode == 0 else f"{done.stdout}{done.stderr}"


def in_this_process(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The same without another interpreter; returns what was wrong, or nothing."""
    with pytest.raises(SystemExit) as left:
        cli.main(words)
    shown = capsys.readouterr()
    return "" if left.value.code == 0 else f"{shown.out}{shown.err}"


def check_files(words: list[str], folder: Path) -> None:
    """A command with `--out` leaves the files that the pages name."""
    if "--out" in words:
        out = folder / words[words.index("--out") + 1]
        pf = ("buses.parquet", "branches.parquet", "losses.parquet", "violations.parquet", "run.json")
        controls = ("taps.parquet", "banks.parquet", "actions.parquet", "run.json")
        hostcap = ("hostcap_summary.parquet", "hostcap_detail.parquet", "hostcap_curve.parquet", "run.json",
                   "hostcap.png", "hostcap_profile.png")  # fmt: skip
        opf = (*(f"dist_opf{name}.parquet" for name in ("", "_buses", "_branches", "_binding", "_summary")),
               "dist_opf.png", "run.json")  # fmt: skip
        graphs = ("graphs.parquet", "nodes.parquet", "edges.parquet", "pyg.json", "run.json")
        told = ("buses", "voltages", "currents")
        answers = (*(f"sensitivities_{name}.parquet" for name in told), "sensitivities.png", "run.json")
        files = {
            ("dist", "pf"): pf, ("dist", "controls"): controls, ("dist", "hostcap"): hostcap,
            ("dist", "connect"): ("connect.parquet", "run.json"), ("dist", "featurize"): graphs,
            ("dist", "sensitivities"): answers, ("dist", "opf"): opf,
            ("derms", "envelope"): ("der_envelopes.parquet", "der_envelope_boxes.parquet", "run.json",
                                    "der_envelope_regions.parquet", "der_envelopes.png"),
            ("derms", "schedule"): (*(f"der_schedule{name}.parquet" for name in (
                "", "_summary", "_network", "_days", "_limits"
            )), "der_schedule.png", "run.json"),
            ("derms", "stress-test"): (*(f"stress_{name}.parquet" for name in (
                "results", "scenarios", "summary"
            )), "stress.png", "run.json"),
            ("derms", "dispatch"): ("der_dispatch.parquet", "der_dispatch_head.parquet", "run.json"),
            ("adms", "vvo-plan"): (*(f"vvo_{name}.parquet" for name in (
                "settings", "points", "performance", "steps", "days")), "vvo_plan.png", "run.json"),
            ("certify",): ("certificates.parquet", "plans.parquet", "certify.png", "run.json"),
        }  # fmt: skip
        verb = tuple(words[: 1 + (words[0] in ("dist", "derms", "adms"))])
        for name in files.get(verb, ("steps.parquet", "episodes.parquet", "run.json", "report.png")):
            assert (out / name).stat().st_size > 0


@pytest.mark.quick(1)
@pytest.mark.parametrize("page", pages_with("bash"))
def test_shell_commands_run(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Capability 125: `make demo` by the command it runs; `make test` by being what runs this.

    The first command of each family is run in a process of its own, the others in this one. One episode a
    policy, and so on: the length of a run is not what is tested.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    for name, text in files_of(page):
        (tmp_path / name).write_text(text)
    for command in commands_of(page):
        words = shortened(shlex.split(command)[1:])
        own_process = first_of_its_family(page, command)
        wrong = in_a_process(words, tmp_path) if own_process else in_this_process(words, capsys)
        assert not wrong, f"{command}\n{wrong}"
        check_files(words, tmp_path)


def test_each_family_of_commands_is_run_in_a_process_of_its_own() -> None:
    """Nothing that is shown is only ever called from within: imports and exit codes are a process's."""
    shown = [(page, command) for page in PAGES for command in commands_of(page)]
    assert {family(c) for p, c in shown if first_of_its_family(p, c)} == {family(c) for _, c in shown}
    assert {("run",), ("dist", "pf"), ("case", "list")} <= {family(c) for _, c in shown}


def test_readme_has_the_two_commands_and_a_short_example() -> None:
    readme = ROOT / "README.md"
    assert {"make demo", "make test"} <= set(shell_commands(readme))
    (example,) = fenced(readme, "python")
    lines = [line for line in example[1].splitlines() if line]
    assert len(lines) <= 15
    assert "Battery(" in example[1]
    assert ".step(" in example[1]


def test_images_exist() -> None:
    for page in PAGES:
        for target in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", page.read_text()):
            assert (page.parent / target).stat().st_size > 0, f"{page}: {target}"


def test_links_of_the_root_exist() -> None:
    """mkdocs checks the links of the site; README is outside it, and CONTRIBUTING is both."""
    for target in re.findall(r"\]\(([^)#]+)\)", (ROOT / "README.md").read_text()):
        assert target.startswith("https://") or (ROOT / target).exists(), target
    inside = re.findall(r"\]\(([^)#]+)\)", CONTRIBUTING.read_text())
    assert all(target.startswith("https://") for target in inside), "a relative link is wrong on the site"
