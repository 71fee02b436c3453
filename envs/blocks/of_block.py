"""A block that shows another one otherwise: in part, as measured, as a row meets it."""

from __future__ import annotations

from dataclasses import dataclass, field

from .base import Block


@dataclass(frozen=True)
class OfBlock(Block):
    """What is not said otherwise is that of the block ``of``."""

    of: Block = field(kw_only=True)

    @property
    def name(self) -> str:
        """That of the block."""
        return self.of.name

    @property
    def unit(self) -> str:
        """That of the block."""
        return self.of.unit

    @property
    def meaning(self) -> str:
        """That of the block."""
        return self.of.meaning

    @property
    def time(self) -> str:
        """That of the block."""
        return self.of.time

    @property
    def public(self) -> bool:
        """That of the block."""
        return self.of.public

    @property
    def per(self) -> str | None:
        """That of the block."""
        return self.of.per
