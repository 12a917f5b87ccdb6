"""Market data, derived from the events of log entries by whoever wants it, never in the exchange itself."""
