"""The report of a client process arrives whole."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from steelyard.ops import bench
from steelyard.ops.bench_client import ClientPlan
from steelyard.ops.cluster import child_environment
from steelyard.ops.errors import OpsError

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


PLAN = ClientPlan(
    targets=["127.0.0.1:1"], instrument=1, keys=[], seed=1, batch=1, outstanding=1, from_s=0.0, until_s=0.0
)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo 'the reason' >&2; exit 3", "ended with exit code 3: the reason"),
        ("exit 3", "ended with exit code 3: it said nothing"),
        ("kill -9 $$", "ended with exit code -9: it said nothing"),
        ("printf 'half a report'", "13 bytes, is not whole"),
        ("exit 0", "0 bytes, is not whole"),
    ],
)
def test_a_client_process_that_fails_is_told_with_its_own_last_words(
    script: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\ncat >/dev/null\n{script}\n")
    program.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(program))
    with pytest.raises(OpsError, match=words):
        asyncio.run(bench._run_client(PLAN))


def test_a_client_process_does_not_outlive_a_benchmark_that_is_broken_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = tmp_path / "pid"
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\necho $$ > {started}.new; mv {started}.new {started}\nexec sleep 600\n")
    program.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(program))

    async def break_off() -> None:
        running = asyncio.ensure_future(bench._run_client(PLAN))
        while not started.exists():
            await asyncio.sleep(0.01)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(break_off())
    assert not Path(f"/proc/{int(started.read_text())}").exists()
