"""Exclusive times of nested calls, by a stopwatch put around functions of living objects."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any


class _Frame:
    """A wrapped call that is running."""

    __slots__ = ("nested", "part")

    def __init__(self, part: str) -> None:
        self.part, self.nested = part, 0.0  # nested: seconds in wrapped calls inside this one


class Stopwatch:
    """Wraps functions; each part's time is what its calls took without the wrapped calls inside them.

    Reading the clock costs too. :meth:`calibrate` measures how much of that falls into a wrapped call and how
    much into its caller; :meth:`parts` takes both off.
    """

    def __init__(self) -> None:
        self._inside: dict[str, float] = defaultdict(float)
        self._calls: dict[str, int] = defaultdict(int)
        self._called: dict[str, int] = defaultdict(int)  # wrapped calls made from within a part
        self._stack: list[_Frame] = []
        self._cost_own, self._cost_caller = 0.0, 0.0
        self.running = True  # False: wrapped functions are called and not counted

    def wrap(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """``function`` with the stopwatch around it, counted as ``part``."""
        clock, stack = time.perf_counter, self._stack
        inside, calls, called = self._inside, self._calls, self._called

        def timed(*args: Any, **options: Any) -> Any:
            if not self.running:
                return function(*args, **options)
            frame = _Frame(part)
            stack.append(frame)
            start = clock()
            try:
                return function(*args, **options)
            finally:
                took = clock() - start
                stack.pop()
                inside[part] += took - frame.nested
                calls[part] += 1
                if stack:
                    stack[-1].nested += took
                    called[stack[-1].part] += 1

        return timed

    def calibrate(self, calls: int = 20_000) -> None:
        """Measure what the stopwatch costs itself; call it before anything is measured."""

        def nothing() -> None: ...

        inner = self.wrap("", nothing)
        repeat = range(calls)
        costs_own, costs_all = [], []
        for _ in range(5):
            self.clear()
            start = time.perf_counter()
            for _ in repeat:
                nothing()
            plain = time.perf_counter() - start
            start = time.perf_counter()
            for _ in repeat:
                inner()
            costs_all.append((time.perf_counter() - start - plain) / calls)
            costs_own.append(self._inside[""] / calls)
        self._cost_own = min(costs_own)
        self._cost_caller = max(0.0, min(costs_all) - self._cost_own)
        self.clear()

    def clear(self) -> None:
        """Forget what was measured."""
        for counted in (self._inside, self._calls, self._called):
            counted.clear()

    def parts(self) -> dict[str, float]:
        """Seconds of each part, the stopwatch's own cost taken off."""
        return {
            part: max(0.0, s - self._calls[part] * self._cost_own - self._called[part] * self._cost_caller)
            for part, s in self._inside.items()
        }

    @property
    def overhead_s(self) -> float:
        """What was taken off."""
        own = sum(self._calls.values()) * self._cost_own
        return own + sum(self._called.values()) * self._cost_caller


@contextmanager
def around(watch: Stopwatch, places: Iterable[tuple[str, Any, str]]) -> Iterator[None]:
    """Put ``watch`` around attributes of objects or modules, (part, owner, name) each; undo it at the end.

    Frozen dataclasses are no obstacle. A name that the owner does not have is passed by: its time then
    counts for the caller.
    """
    undo: list[tuple[Any, str, Any]] = []
    try:
        for part, owner, name in places:
            function = getattr(owner, name, None)
            if function is None:
                continue
            own = vars(owner).get(name)
            _put(owner, name, watch.wrap(part, function))
            undo.append((owner, name, own))
        yield
    finally:
        for owner, name, own in reversed(undo):
            if own is None:
                object.__delattr__(owner, name)
            else:
                _put(owner, name, own)


def _put(owner: Any, name: str, value: Any) -> None:
    if isinstance(owner, type):
        setattr(owner, name, value)
    else:
        object.__setattr__(owner, name, value)
