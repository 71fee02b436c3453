"""Searches on environments themselves: the best constant action, the best sequence of a day."""
