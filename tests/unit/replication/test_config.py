"""The group's file, its secret and its folders."""

import json
import os
import tempfile
from pathlib import Path

import pytest

from steelyard.replication.config import (
    DETOURS_FILE,
    GROUP_FILE,
    SECRET_FILE,
    GroupConfig,
    found_group,
    group_settings,
    node_paths,
    prepare_replacement,
    prepare_socket_folder,
    read_detours,
    read_group,
    read_secret,
    read_tls,
    split_endpoint,
)
from steelyard.replication.errors import StartRefused
from steelyard.replication.group import DEDICATED
from steelyard.replication.log_store import open_store

MAP_BYTES = 16 << 20
MEMBERS = [("127.0.0.1:7001", "127.0.0.1:8001"), ("[::1]:7002", "b:8002"), ("c:7003", "c:8003")]


def found(directory: Path) -> GroupConfig:
    return found_group(directory, MEMBERS, bytes(range(32)), profile="dedicated", map_size_bytes=MAP_BYTES)


def test_a_founded_group_reads_back_as_it_was_made(tmp_path: Path) -> None:
    config = found(tmp_path / "group")
    assert read_group(tmp_path / "group") == config
    assert bytes.fromhex(config.operator_public_key) == bytes(range(32))
    assert [member.peer for member in config.members] == [peer for peer, _ in MEMBERS]
    assert config.client_endpoint(3) == "c:8003"
    assert config.client_endpoint(0) == ""


def test_founding_makes_three_stores_that_may_vote(tmp_path: Path) -> None:
    config = found(tmp_path / "group")
    for member in (1, 2, 3):
        paths = node_paths(tmp_path / "group", member)
        store = open_store(paths.store, config.group, member, map_bytes=MAP_BYTES)  # type: ignore[arg-type]
        assert not store.identity.joining
        assert store.last_index == 0
        store.close()


def test_a_group_is_never_founded_over_another(tmp_path: Path) -> None:
    found(tmp_path / "group")
    before = (tmp_path / "group" / GROUP_FILE).read_bytes()
    with pytest.raises(StartRefused, match="already holds a group"):
        found(tmp_path / "group")
    assert (tmp_path / "group" / GROUP_FILE).read_bytes() == before


def test_the_engine_gets_addresses_secret_and_timeouts(tmp_path: Path) -> None:
    config = found(tmp_path / "group")
    secret = read_secret(tmp_path / "group")
    settings = group_settings(config, 2, secret)
    assert settings.peers == {1: ("127.0.0.1", 7001), 2: ("::1", 7002), 3: ("c", 7003)}
    assert settings.timeouts == DEDICATED
    assert settings.secret == secret
    assert len(secret) == 32


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"group": "short"}, "group must be"),
        ({"group": "G" * 32}, "group must be"),
        ({"operator_public_key": ""}, "operator_public_key"),
        ({"members": []}, "members must be"),
        ({"profile": "slow"}, "profile"),
        ({"map_size_bytes": 1}, "map_size_bytes"),
        ({"snapshot_entries": 0}, "snapshot_entries"),
        ({"log_keep_bytes": -1}, "log_keep_bytes"),
        ({"map_size_bytes": "big"}, "map_size_bytes"),
        ({"unknown": 1}, "unknown"),
    ],
)
def test_a_setting_that_makes_no_sense_is_named(
    tmp_path: Path, change: dict[str, object], words: str
) -> None:
    found(tmp_path)
    path = tmp_path / GROUP_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(StartRefused, match=words):
        read_group(tmp_path)


@pytest.mark.parametrize(
    "endpoint", ["", "host", "host:", ":80", "host:0", "host:65536", "host:x", "host:-1"]
)
def test_an_endpoint_is_host_and_port(tmp_path: Path, endpoint: str) -> None:
    with pytest.raises(ValueError, match="host:port"):
        split_endpoint(endpoint)
    with pytest.raises(StartRefused, match="member 2: client"):
        found_group(tmp_path, [MEMBERS[0], ("b:1", endpoint), MEMBERS[2]], bytes(32))
    assert not (tmp_path / GROUP_FILE).exists()


def test_two_members_on_one_address_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StartRefused, match="peer address of its own"):
        found_group(tmp_path, [MEMBERS[0], MEMBERS[0], MEMBERS[2]], bytes(32))


def test_no_group_and_a_broken_file_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(StartRefused, match="holds no group"):
        read_group(tmp_path)
    (tmp_path / GROUP_FILE).write_bytes(b"{")
    with pytest.raises(StartRefused, match=r"group\.json"):
        read_group(tmp_path)


def test_a_secret_that_others_can_read_is_refused(tmp_path: Path) -> None:
    found(tmp_path)
    (tmp_path / SECRET_FILE).chmod(0o640)
    with pytest.raises(StartRefused, match="chmod 600"):
        read_secret(tmp_path)


@pytest.mark.parametrize("content", [b"", b"abc", b"\xff" * 64, b"g" * 64])
def test_a_secret_that_is_none_is_refused(tmp_path: Path, content: bytes) -> None:
    found(tmp_path)
    (tmp_path / SECRET_FILE).write_bytes(content)
    with pytest.raises(StartRefused, match=r"peer\.secret"):
        read_secret(tmp_path)


def test_a_short_socket_path_stays_in_the_node_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    short = Path("/srv/x")
    assert node_paths(short, 1).front_socket == short / "n1" / "front.sock"


def test_a_long_socket_path_moves_where_only_we_can_enter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    long = Path("/srv") / ("x" * 100)
    one, other = node_paths(long, 1).front_socket, node_paths(long, 2).front_socket
    assert one != other
    assert one.parent == other.parent
    prepare_socket_folder(one)
    prepare_socket_folder(other)
    assert one.parent.stat().st_mode & 0o777 == 0o700
    one.parent.chmod(0o777)
    with pytest.raises(StartRefused, match="only this user"):
        prepare_socket_folder(one)
    one.parent.rmdir()
    one.parent.symlink_to(tmp_path)
    with pytest.raises(StartRefused, match="only this user"):
        prepare_socket_folder(one)
    assert os.path.islink(one.parent)


def test_a_member_may_reach_the_others_another_way(tmp_path: Path) -> None:
    config = found(tmp_path / "group")
    node = node_paths(tmp_path / "group", 2).node
    assert read_detours(node) == {}
    (node / DETOURS_FILE).write_text('{"1": "tunnel:9001", "2": "own:9002"}')
    settings = group_settings(config, 2, bytes(32), read_detours(node))
    assert settings.peers == {1: ("tunnel", 9001), 2: ("::1", 7002), 3: ("c", 7003)}


@pytest.mark.parametrize("content", ["[]", '{"4": "a:1"}', '{"1": "nowhere"}', "{"])
def test_detours_that_make_no_sense_are_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / DETOURS_FILE).write_text(content)
    with pytest.raises(StartRefused, match=DETOURS_FILE):
        read_detours(tmp_path)


def test_every_member_gets_a_certificate_and_keys_that_only_we_can_read(tmp_path: Path) -> None:
    found(tmp_path)
    for member in (1, 2, 3):
        read_tls(tmp_path, member)
    for key in (tmp_path / "tls").glob("*.key"):
        assert key.stat().st_mode & 0o077 == 0
    (tmp_path / "tls" / "n2.key").chmod(0o640)
    with pytest.raises(StartRefused, match="can be read by others"):
        read_tls(tmp_path, 2)
    (tmp_path / "tls" / "n1.key").unlink()
    with pytest.raises(StartRefused, match="n1"):
        read_tls(tmp_path, 1)


def test_a_replacement_gets_a_new_certificate_and_a_store_that_may_not_vote(tmp_path: Path) -> None:
    config = found(tmp_path)
    paths = node_paths(tmp_path, 2)
    (paths.node / "replica.log").write_text("the old one's")
    before = (tmp_path / "tls" / "n2.crt").read_bytes()
    for count in (1, 2):
        prepare_replacement(tmp_path, 2)
        store = open_store(paths.store, config.group, 2, map_bytes=MAP_BYTES)  # type: ignore[arg-type]
        assert store.identity.joining
        assert store.identity.incarnation > 1
        store.close()
        assert (tmp_path / f"n2.replaced-{count}" / "store").exists()
    assert (tmp_path / "n2.replaced-1" / "replica.log").read_text() == "the old one's"
    assert (tmp_path / "tls" / "n2.crt").read_bytes() != before
    read_tls(tmp_path, 2)


def test_a_member_that_runs_is_not_replaced(tmp_path: Path) -> None:
    config = found(tmp_path)
    paths = node_paths(tmp_path, 2)
    before = (tmp_path / "tls" / "n2.crt").read_bytes()
    store = open_store(paths.store, config.group, 2, map_bytes=MAP_BYTES)  # type: ignore[arg-type]
    with pytest.raises(StartRefused, match="in use"):
        prepare_replacement(tmp_path, 2)
    store.close()
    assert (tmp_path / "tls" / "n2.crt").read_bytes() == before
    with pytest.raises(StartRefused, match="members are 1 to 3"):
        prepare_replacement(tmp_path, 4)


def test_without_the_authoritys_key_nobody_is_replaced(tmp_path: Path) -> None:
    found(tmp_path)
    (tmp_path / "tls" / "authority.key").unlink()
    with pytest.raises(StartRefused, match="nobody can be certified"):
        prepare_replacement(tmp_path, 2)
    assert node_paths(tmp_path, 2).store.exists()


def test_nobody_else_can_read_what_members_keep(tmp_path: Path) -> None:
    found(tmp_path / "group")
    for member in (1, 2, 3):
        assert node_paths(tmp_path / "group", member).node.stat().st_mode & 0o777 == 0o700
