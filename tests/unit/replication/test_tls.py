"""TLS between members: who is let in, and who is not."""

import logging
import os
import socket
import ssl
from pathlib import Path

import pytest
from tests.helpers.raft import GROUP, MEMBERS, Outcome, TcpGroup, tcp_group

from steelyard.replication.certificates import Signed, issue, make_authority
from steelyard.replication.errors import StartRefused
from steelyard.replication.frames import FrameError
from steelyard.replication.group import MemberId
from steelyard.replication.tls import PeerTls, TlsChannel

ONE, TWO, THREE = MEMBERS
AUTHORITY = make_authority(GROUP)
ANOTHER = make_authority(GROUP)


class Papers:
    """Writes certificates where a member looks for them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def of(self, member: int, *, authority: Signed = AUTHORITY, group: str = GROUP, days: int = 9) -> PeerTls:
        """Return what a member holds: trust in the one authority, and a certificate of the given one."""
        signed = issue(authority, group, member, days=days)
        folder = self.directory / f"{member}-{os.urandom(4).hex()}"
        folder.mkdir(parents=True)
        (folder / "authority").write_bytes(AUTHORITY.certificate)
        (folder / "certificate").write_bytes(signed.certificate)
        (folder / "key").write_bytes(signed.key)
        return PeerTls(folder / "authority", folder / "certificate", folder / "key")


@pytest.fixture
def papers(tmp_path: Path) -> Papers:
    return Papers(tmp_path / "papers")


def shake(dialler: TlsChannel, answerer: TlsChannel) -> bytes:
    """Carry bytes until both are silent; return what the answerer was told."""
    heard = b""
    to_answerer = dialler.start()
    while to_answerer:
        heard += answerer.receive(to_answerer)
        dialler.receive(answerer.sent())
        to_answerer = dialler.sent()
    return heard


def test_two_members_prove_themselves_and_nothing_goes_in_the_clear(papers: Papers) -> None:
    left, right = papers.of(1).open(dialled=True), papers.of(2).open(dialled=False)
    shake(left, right)
    assert left.ready
    assert right.ready
    assert left.names(GROUP, TWO)
    assert right.names(GROUP, ONE)
    assert not right.names(GROUP, THREE)
    assert not right.names("another", ONE)
    secret = b"a secret that is long enough to be found"
    sealed = left.seal(secret[:10], secret[10:])
    assert secret not in sealed
    assert right.receive(sealed) == secret


def test_large_messages_arrive_whole_in_any_pieces(papers: Papers) -> None:
    left, right = papers.of(1).open(dialled=True), papers.of(2).open(dialled=False)
    shake(left, right)
    message = os.urandom(300_000)
    sealed = left.seal(message)
    heard = b"".join(right.receive(sealed[at : at + 7_001]) for at in range(0, len(sealed), 7_001))
    assert heard == message


def test_a_changed_byte_is_noticed(papers: Papers) -> None:
    left, right = papers.of(1).open(dialled=True), papers.of(2).open(dialled=False)
    shake(left, right)
    sealed = bytearray(left.seal(b"pay 100 to bob"))
    sealed[-20] ^= 1
    with pytest.raises(FrameError, match="TLS"):
        right.receive(bytes(sealed))


@pytest.mark.parametrize("dials", [True, False])
@pytest.mark.parametrize(
    ("made", "reason"),
    [
        ({"authority": ANOTHER}, "signature|issuer|self.signed"),
        ({"days": -1}, "expired"),
    ],
)
def test_a_stranger_and_a_lapsed_member_are_refused(
    papers: Papers, made: dict[str, object], reason: str, dials: bool
) -> None:
    wrong = papers.of(2, **made).open(dialled=dials)  # type: ignore[arg-type]
    right = papers.of(1).open(dialled=not dials)
    left, answerer = (wrong, right) if dials else (right, wrong)
    with pytest.raises(FrameError, match=reason):
        shake(left, answerer)


def test_whoever_shows_no_certificate_is_refused(papers: Papers) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with pytest.raises(FrameError, match="did not return a certificate"):
        shake(TlsChannel(context, dialled=True), papers.of(1).open(dialled=False))


def test_an_older_protocol_is_refused(papers: Papers) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(FrameError, match="TLS"):
        shake(TlsChannel(context, dialled=True), papers.of(1).open(dialled=False))


def test_plain_bytes_are_refused(papers: Papers) -> None:
    with pytest.raises(FrameError, match="TLS"):
        papers.of(1).open(dialled=False).receive(b"GET / HTTP/1.1\r\nHost: exchange\r\n\r\n")


def test_missing_or_senseless_files_refuse_to_start(tmp_path: Path) -> None:
    with pytest.raises(StartRefused):
        PeerTls(tmp_path / "no", tmp_path / "such", tmp_path / "files")
    for name in "abc":
        (tmp_path / name).write_bytes(b"nonsense")
    with pytest.raises(StartRefused):
        PeerTls(tmp_path / "a", tmp_path / "b", tmp_path / "c")


def test_a_group_works_over_tls(tmp_path: Path, papers: Papers) -> None:
    with tcp_group(tmp_path, tls=papers.of) as group:
        group.start_all()
        bodies = [os.urandom(n * 30_000) for n in range(20)]
        group.commit(*bodies)
        group.run(lambda: all(len(m.applied) == 20 for m in group.members.values()))
        assert all([body for _, body in m.applied] == bodies for m in group.members.values())


@pytest.mark.parametrize(
    "wrong",
    [
        {"authority": ANOTHER},
        {"group": "another group"},
        {"days": -1},
        {"member": 2},
        None,
    ],
    ids=["another authority", "another group", "expired", "another member's certificate", "plain"],
)
def test_a_member_with_wrong_papers_never_links_and_is_logged_once(
    tmp_path: Path, papers: Papers, wrong: dict[str, object] | None, caplog: pytest.LogCaptureFixture
) -> None:
    def of(member: MemberId) -> PeerTls | None:
        if member != THREE:
            return papers.of(member)
        return None if wrong is None else papers.of(**({"member": 3} | wrong))  # type: ignore[arg-type]

    with caplog.at_level(logging.WARNING), tcp_group(tmp_path, tls=of) as group:
        group.start_all()
        group.commit(b"without it")
        group.run_for(0.6)
        # It may take a connection for a link itself, until the other side's refusal has reached it.
        others = [m.group for member, m in group.members.items() if member != THREE]
        assert not any(p.connected for other in others for p in other.peers() if p.member == THREE)
        assert group.members[THREE].applied == []
        refusals = group.members[ONE].links.refused
        assert sum(refusals.values()) > 1
        said = [r.getMessage() for r in caplog.records if "peer connection closed" in r.getMessage()]
        for reason in refusals:
            assert sum(reason in line for line in said) <= len(MEMBERS)


def test_garbage_and_silence_on_the_port_harm_nobody(tmp_path: Path, papers: Papers) -> None:
    with tcp_group(tmp_path, tls=papers.of) as group:
        group.start_all()
        group.commit(b"one")
        sockets = [socket.create_connection(group.addresses[ONE]) for _ in range(5)]
        for stranger in sockets[1:]:
            stranger.sendall(os.urandom(2000))
        group.commit(b"two")
        outcome = Outcome()
        group.members[ONE].group.read_barrier(outcome)
        group.run(lambda: outcome.calls)
        for stranger in sockets:
            stranger.close()


def test_a_new_certificate_is_taken_at_the_next_start(tmp_path: Path, papers: Papers) -> None:
    group = TcpGroup(tmp_path, tls=papers.of)
    try:
        group.start_all()
        group.commit(b"one")
        group.stop(TWO)
        group.commit(b"two")
        group.start(TWO)  # asks for papers again and gets new ones
        group.run(lambda: len(group.members[TWO].applied) == 2)
    finally:
        group.close()
