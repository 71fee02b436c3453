"""Optimal policies and the programs behind them."""
