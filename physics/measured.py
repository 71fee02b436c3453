"""Columns of what a stepper writes for each row: ``ended`` (whole numbers) and ``measured`` (in units).

Balanced and per-phase steppers have the same columns; what one does not measure stays 0.
"""

from __future__ import annotations

#: Bits of the status, sweeps, and how many limits are passed.
STATUS, ITERATIONS, N_VOLTAGE, N_OVERLOAD, N_UNBALANCE = range(5)
N_ENDED = 5
#: In pu, MW, MVAr, MW, MVAr, pu, MVA and percent.
V_UPDATE, P_LOSS, Q_LOSS, P_SLACK, Q_SLACK, VOLTAGE_VIOLATION, OVERLOAD, VUF_VIOLATION = range(8)
N_MEASURED = 8
