"""From a circuit as the engine compiled it to the parts that the tables are made of."""
