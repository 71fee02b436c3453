"""What a utility does offline: each a function first, a verb of the command second."""
