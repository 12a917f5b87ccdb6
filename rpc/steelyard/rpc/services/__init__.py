"""The services of the protocol, one module each."""
