"""Print what a command costs as the book grows, and what a resting order takes, as JSON."""

import json

from steelyard.ops.bench_core import grow

if __name__ == "__main__":
    print(json.dumps(grow(), indent=2))
