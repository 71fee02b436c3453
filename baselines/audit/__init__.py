"""The audit of an environment: whether its task is worth learning, in numbers with thresholds."""

from __future__ import annotations

from .api import AuditResult, audit
from .config import AuditConfig
from .job import AuditJob

__all__ = ["AuditConfig", "AuditJob", "AuditResult", "audit"]
