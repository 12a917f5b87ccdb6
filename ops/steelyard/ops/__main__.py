"""``python -m steelyard.ops`` is the ``steelyard`` command."""

from steelyard.ops.cli import main

main()
