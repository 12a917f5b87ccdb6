"""A whole group in one thread from one seed: the shipped replica over simulated clocks, disks, networks."""
