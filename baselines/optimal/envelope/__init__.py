"""What groups of devices can do in P and Q within the limits of a grid: region.pq_region."""
