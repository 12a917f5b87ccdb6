"""The replicated log that drives the exchange: one process, one thread, three members."""
