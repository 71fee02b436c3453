"""Three-phase power flow: elements as generalised matrices, phases that exist, one sweep for all."""

from __future__ import annotations
