"""A process that must end ends, with the code that says why."""

import subprocess
import sys

PROGRAM = """
import sys
from steelyard.replication.errors import fail_stop
{before}
try:
    fail_stop(74, "the disk\\nfailed")
finally:
    print("never said")
"""


def ended(before: str = "") -> "subprocess.CompletedProcess[str]":
    from steelyard.ops.cluster import child_environment

    return subprocess.run(
        [sys.executable, "-c", PROGRAM.format(before=before)],
        env=child_environment(),
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_fail_stop_says_why_in_one_line_and_runs_no_handler() -> None:
    done = ended()
    assert (done.returncode, done.stdout, done.stderr) == (74, "", "FAIL-STOP 74: the disk failed\n")


def test_a_fail_stop_ends_the_process_even_if_nobody_can_be_told() -> None:
    done = ended("sys.stderr = open('/dev/full', 'w', buffering=1)")
    assert (done.returncode, done.stdout) == (74, "")
