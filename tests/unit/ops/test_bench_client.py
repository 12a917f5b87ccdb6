"""The report of a client process arrives whole."""

import subprocess
import sys

from steelyard.ops.cluster import child_environment

SIZE = 3_000_000


def test_a_report_is_written_whole_whatever_interrupts_the_write() -> None:
    code = (
        "import signal\n"
        "from steelyard.ops.bench_client import write_out\n"
        "signal.signal(signal.SIGALRM, lambda *_: None)\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)\n"
        f"write_out(b'x' * {SIZE})\n"
        "signal.setitimer(signal.ITIMER_REAL, 0)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-u", "-c", code], stdout=subprocess.PIPE, env=child_environment()
    ) as child:
        out = child.stdout
        assert out is not None
        size = 0
        while part := out.read(4096):
            size += len(part)
    assert size == SIZE
    assert child.returncode == 0
