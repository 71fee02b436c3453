"""Attributes that are settled when an object is made: they can be read, not set."""

from __future__ import annotations

from typing import Any, Generic, TypeVar, overload

T = TypeVar("T")


class Fixed(Generic[T]):
    """An attribute that is set once, in the constructor. Setting it again would change nothing of what was
    built from it, so that is an AttributeError, which says ``how`` to get what is wanted.
    """

    def __init__(self, how: str) -> None:
        self._how, self._name, self._kept = how, "", ""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name, self._kept = name, f"_settled_{name}"  # set as usual: touching __dict__ slows an object

    @overload
    def __get__(self, instance: None, owner: type) -> Fixed[T]: ...
    @overload
    def __get__(self, instance: object, owner: type) -> T: ...
    def __get__(self, instance: object | None, owner: type) -> Fixed[T] | T:
        """The value, or the descriptor itself when it is asked of the class."""
        if instance is None:
            return self
        try:
            value: T = getattr(instance, self._kept)
        except AttributeError:
            raise AttributeError(f"{owner.__name__} has no {self._name!r} yet") from None
        return value

    def __set__(self, instance: object, value: T) -> None:
        if hasattr(instance, self._kept):
            raise AttributeError(
                f"{type(instance).__name__}.{self._name} is settled when the environment is made and cannot "
                f"be set afterwards: {self._how}"
            )
        setattr(instance, self._kept, value)

    def __delete__(self, instance: object) -> None:
        raise AttributeError(f"{type(instance).__name__}.{self._name} cannot be deleted: {self._how}")

    def settle(self, instance: Any, value: T) -> None:
        """Set it anew: for the class itself, which builds anew what depends on it."""
        setattr(instance, self._kept, value)
