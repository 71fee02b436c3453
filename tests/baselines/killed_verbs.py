"""Verbs of `distgrid dist` in forked children that kill themselves; a script of test_dist_verbs.

Arguments: a JSON object of verbs and their arguments, and a folder. Each verb is done whole into whole/VERB.
Then it is done into killed/VERB again and again, killed by SIGKILL before its first rename, its second, and
so on, until it comes to its end. hostcap is also killed within its search, at power flows drawn at random, in
killed/search. Prints how often each was killed.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from functools import partial
from io import StringIO
from pathlib import Path

import numpy as np

from distgrid.baselines.hosting.capacity import HostingStudy
from distgrid.cli import main

MOST = 40


def dies_at(owner: type, name: str, at: int) -> None:
    """From now on the ``at``-th call of a method ends this process."""
    whole, calls = getattr(owner, name), [0]

    def mortal(*arguments: object, **options: object) -> object:
        calls[0] += 1
        if calls[0] == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return whole(*arguments, **options)

    setattr(owner, name, mortal)


def done(verb: str, arguments: list[str], out: Path, fatal: Callable[[], None]) -> bool:
    """Whether the verb came to its end in a child; False where it was killed."""
    child = os.fork()
    if not child:
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1)
        fatal()
        try:
            main(["dist", verb, *arguments, "--out", str(out)])
        except SystemExit as left:
            os._exit(int(left.code or 0))
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return False
    assert os.WEXITSTATUS(status) == 0, f"{verb} left with {os.WEXITSTATUS(status)}"
    return True


def whole(verb: str, arguments: list[str], out: Path) -> None:
    """The verb in this process, so that its children find everything loaded."""
    shown, sys.stdout = sys.stdout, StringIO()
    try:
        main(["dist", verb, *arguments, "--out", str(out)])
    except SystemExit as left:
        if left.code:
            raise
    finally:
        sys.stdout = shown


def kills(verb: str, arguments: list[str], out: Path, moments: Iterator[Callable[[], None]]) -> int:
    """How often the verb was killed until it came to its end."""
    for count, fatal in enumerate(moments):
        if done(verb, arguments, out, fatal):
            return count
    raise AssertionError(f"{verb} never ended")


def at_renames() -> Iterator[Callable[[], None]]:
    for at in range(1, MOST):
        yield partial(dies_at, Path, "replace", at)


def in_the_search(seed: int, times: int) -> Iterator[Callable[[], None]]:
    rng = np.random.default_rng(seed)
    for at in rng.integers(1, 60, times).tolist():
        yield partial(dies_at, HostingStudy, "evaluate", at)
    yield lambda: None


if __name__ == "__main__":
    calls, folder = json.loads(sys.argv[1]), Path(sys.argv[2])
    found = {}
    for verb, arguments in calls.items():
        whole(verb, arguments, folder / "whole" / verb)
        found[verb] = kills(verb, arguments, folder / "killed" / verb, at_renames())
    search = in_the_search(seed=3, times=5)
    found["search"] = kills("hostcap", calls["hostcap"], folder / "killed" / "search", search)
    sys.stdout.write(json.dumps(found))
