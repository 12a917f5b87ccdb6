"""Members in networks of their own reach each other until packets are told to vanish."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest

from steelyard.ops.cluster import MEMBERS
from steelyard.ops.namespaces import Namespaces
from steelyard.ops.packet_loss import needs_packet_loss

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(os.geteuid() != 0 or shutil.which("ip") is None, reason="needs root and ip"),
]

SERVE = """
import socket, sys
with socket.create_server((sys.argv[1], 7000)) as server:
    print("ready", flush=True)
    while True:
        server.accept()[0].close()
"""
CALL = "import socket, sys; socket.create_connection((sys.argv[1], 7000), 0.5).close()"


@pytest.fixture
def spaces() -> Iterator[Namespaces]:
    spaces = Namespaces()
    try:
        spaces.make()
        yield spaces
    finally:
        spaces.remove()


def reaches(spaces: Namespaces, source: int, target: int) -> bool:
    command = [*spaces.prefix(source), sys.executable, "-c", CALL, spaces.host(target)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_ways_are_blocked_singly_unplugged_altogether_and_healed(spaces: Namespaces) -> None:
    servers = []
    try:
        for member in MEMBERS:
            command = [*spaces.prefix(member), sys.executable, "-c", SERVE, spaces.host(member)]
            server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            servers.append(server)
            assert server.stdout is not None
            assert server.stdout.readline() == "ready\n"
        assert reaches(spaces, 1, 2)
        spaces.block(1, 2)
        assert not reaches(spaces, 1, 2)
        assert reaches(spaces, 1, 3)
        spaces.heal()
        assert reaches(spaces, 1, 2)
        spaces.unplug(3)
        assert not reaches(spaces, 1, 3)
        assert not reaches(spaces, 3, 2)
        assert reaches(spaces, 2, 1)
        spaces.heal()
        assert reaches(spaces, 1, 3)
    finally:
        for server in servers:
            server.kill()
            server.communicate()


SEND = """
import socket, sys
with socket.create_server((sys.argv[1], 7000)) as server:
    print("ready", flush=True)
    server.accept()[0].sendall(bytes(300_000))
"""
RECEIVE = """
import socket, sys
with socket.create_connection((sys.argv[1], 7000), 20) as call:
    while call.recv(1 << 16):
        pass
"""


def send(spaces: Namespaces, source: int, target: int) -> None:
    """Have so many bytes sent from one member to another, all of which arrive."""
    command = [*spaces.prefix(source), sys.executable, "-c", SEND, spaces.host(source)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n"
        call = [*spaces.prefix(target), sys.executable, "-c", RECEIVE, spaces.host(source)]
        subprocess.run(call, check=True, timeout=30)


@pytest.mark.skipif(needs_packet_loss() != "", reason=needs_packet_loss())
def test_lost_packets_are_sent_again_until_the_loss_is_healed(spaces: Namespaces) -> None:
    spaces.lose(1, 300_000)
    lossy = 0
    for _ in range(20):  # a few large packets each: now and then none of them is lost
        send(spaces, 1, 2)
        lossy = spaces.repeated(1)
        if lossy > 1:
            break
    assert lossy > 1
    spaces.heal()
    for _ in range(3):
        send(spaces, 1, 2)
    assert spaces.repeated(1) - lossy < lossy


@pytest.mark.skipif(shutil.which("tc") is None, reason="needs tc")
def test_a_slow_link_holds_packets_back_until_it_is_healed(spaces: Namespaces) -> None:
    spaces.slow(1, 10_000_000)
    send(spaces, 1, 2)
    assert spaces.held_back(1) > 0
    spaces.heal()
    send(spaces, 1, 2)
    assert spaces.held_back(1) == 0


def test_nothing_is_left_behind(spaces: Namespaces) -> None:
    name = spaces.prefix(1)[-1]
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    assert name in listed
    spaces.remove()
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    assert name not in listed
