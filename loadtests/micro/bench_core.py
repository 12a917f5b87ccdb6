"""Print how fast one core applies a log in memory, as JSON; the number of commands may be given."""

import json
import sys

from steelyard.ops.bench_core import run

if __name__ == "__main__":
    commands = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    print(json.dumps(run(commands=commands), indent=2))
