"""Certificates: for every day of a split what was reached, and a bound that nobody can pass."""
