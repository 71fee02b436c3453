"""What the child says when it cannot go on."""

from __future__ import annotations


class RefusedError(Exception):
    """What the parent makes a `CaseError` of: a place (file and line, or an element) and what is wrong."""

    def __init__(self, file: str, line: int | None, field: str, value: str, expected: str) -> None:
        super().__init__(f"{file}:{line}: {field} = {value}: expected {expected}")
        self.parts = {"file": file, "row": line, "field": field, "value": value, "expected": expected}
