"""Volt/VAR optimisation: settings of taps, banks and inverters for an operating point, a day, and a level."""
