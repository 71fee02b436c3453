"""How much a feeder can host: the first size at which a limit is passed, many candidates at once."""
