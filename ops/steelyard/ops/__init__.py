"""Running it: the command line, groups on this machine, drills, replays and benchmarks."""

import os

# The gRPC library tells about every connection that a killed node leaves behind; it reads this at its import.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
