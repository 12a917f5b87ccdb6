"""What a group is made of, and the data directory that holds it and its members."""

import hashlib
import os
import secrets
import stat
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal

import msgspec

from steelyard.core import versions
from steelyard.replication.certificates import Signed, issue, make_authority
from steelyard.replication.disk import refuse_if_owned
from steelyard.replication.errors import StartRefused
from steelyard.replication.group import DEDICATED, SHARED, GroupSettings, MemberId, Timeouts
from steelyard.replication.log_store import found, join
from steelyard.replication.tls import PeerTls

GROUP_FILE: Final = "group.json"
SECRET_FILE: Final = "peer.secret"
#: The group's certificates: the authority's, which every member needs, and each member's own. The authority's
#: key is needed only to make another certificate and is better kept elsewhere.
TLS_FOLDER: Final = "tls"
#: In a member's own folder: other addresses than the group's under which this member reaches the others.
DETOURS_FILE: Final = "peers.json"
MEMBERS: Final = 3
SECRET_BYTES: Final = 32
GROUP_HEX_DIGITS: Final = 32
PUBLIC_KEY_BYTES: Final = 32
PORT_MAX: Final = 65_535
#: A Unix socket's path has 108 bytes with its end mark; longer ones move under the temporary folder.
SOCKET_PATH_BYTES_MAX: Final = 100
#: Smaller than this, a log and its copy-on-write pages have no room to live.
MAP_SIZE_BYTES_MIN: Final = 16 << 20

Profile = Literal["shared", "dedicated"]
TIMEOUTS: Final[dict[Profile, Timeouts]] = {"shared": SHARED, "dedicated": DEDICATED}


class MemberConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One member: where the others reach it, and where clients reach its gateway (``host:port``)."""

    member: int
    peer: str
    client: str


class GroupConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A group of three, as written in ``group.json``; the same file on every member.

    A snapshot is taken every ``snapshot_entries`` log entries or ``snapshot_log_bytes`` of log, whichever
    comes first. The log keeps at least what the newest two snapshots need, and beyond that a tail of
    ``log_keep_entries`` and ``log_keep_bytes`` for members that were away, never more than half the map.
    """

    group: str
    operator_public_key: str
    members: list[MemberConfig]
    profile: Profile = "shared"
    map_size_bytes: int = 1 << 30
    snapshot_entries: int = 20_000
    snapshot_log_bytes: int = 64 << 20
    log_keep_entries: int = 2_000_000
    log_keep_bytes: int = 512 << 20

    def check(self) -> None:
        """Raise ``StartRefused`` with a sentence for a person unless every setting makes sense."""
        if not _is_hex(self.group, GROUP_HEX_DIGITS):
            raise StartRefused(f"group must be {GROUP_HEX_DIGITS} lower-case hex digits, got {self.group!r}")
        if not _is_hex(self.operator_public_key, 2 * PUBLIC_KEY_BYTES):
            raise StartRefused(
                "operator_public_key must be an Ed25519 public key in 64 lower-case hex digits"
            )
        numbers = [member.member for member in self.members]
        if numbers != [1, 2, 3]:
            raise StartRefused(f"members must be 1, 2 and 3 in this order, got {numbers}")
        for member in self.members:
            for name, endpoint in (("peer", member.peer), ("client", member.client)):
                try:
                    split_endpoint(endpoint)
                except ValueError as error:
                    raise StartRefused(f"member {member.member}: {name}: {error}") from error
        peers = [member.peer for member in self.members]
        if len(set(peers)) != MEMBERS:
            raise StartRefused(f"each member needs a peer address of its own, got {peers}")
        if self.map_size_bytes < MAP_SIZE_BYTES_MIN:
            raise StartRefused(f"map_size_bytes must be at least {MAP_SIZE_BYTES_MIN}")
        for name in ("snapshot_entries", "snapshot_log_bytes", "log_keep_entries", "log_keep_bytes"):
            if getattr(self, name) < 1:
                raise StartRefused(f"{name} must be above zero")

    def client_endpoint(self, member: int) -> str:
        """Return where clients reach that member's gateway, or an empty string for zero."""
        return self.members[member - 1].client if member else ""


@dataclass(frozen=True, slots=True)
class NodePaths:
    """Where one member keeps what."""

    node: Path
    store: Path
    snapshots: Path
    front_socket: Path
    replica_log: Path
    gateway_log: Path
    archive: Path
    archive_log: Path


def found_group(
    directory: Path,
    members: Sequence[tuple[str, str]],
    operator_public_key: bytes,
    *,
    profile: Profile = "shared",
    map_size_bytes: int = 1 << 30,
    snapshot_entries: int = 20_000,
    snapshot_log_bytes: int = 64 << 20,
    log_keep_entries: int = 2_000_000,
    log_keep_bytes: int = 512 << 20,
) -> GroupConfig:
    """Found a new group in ``directory``: a secret, three founding stores, and last ``group.json``.

    Args:
        directory: Made if missing; must not hold a group yet.
        members: Three pairs of (peer, client) endpoints, ``host:port``.
        operator_public_key: The raw Ed25519 key of whoever may operate the group.
        profile: The timeouts; ``shared`` for three members on one machine.
        map_size_bytes: What each member's log may take on disk; it is reserved at once.
        snapshot_entries: See ``GroupConfig``.
        snapshot_log_bytes: See ``GroupConfig``.
        log_keep_entries: See ``GroupConfig``.
        log_keep_bytes: See ``GroupConfig``.

    Raises:
        StartRefused: A setting makes no sense, or there is a group already.

    """
    config = GroupConfig(
        group=secrets.token_hex(GROUP_HEX_DIGITS // 2),
        operator_public_key=operator_public_key.hex(),
        members=[
            MemberConfig(member=number, peer=peer, client=client)
            for number, (peer, client) in enumerate(members, start=1)
        ],
        profile=profile,
        map_size_bytes=map_size_bytes,
        snapshot_entries=snapshot_entries,
        snapshot_log_bytes=snapshot_log_bytes,
        log_keep_entries=log_keep_entries,
        log_keep_bytes=log_keep_bytes,
    )
    config.check()
    if (directory / GROUP_FILE).exists():
        raise StartRefused(f"{directory} already holds a group")
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    _write_durably(directory / SECRET_FILE, secrets.token_hex(SECRET_BYTES).encode(), mode=0o600)
    authority = make_authority(config.group)
    _write_signed(directory, AUTHORITY, authority)
    for member in config.members:
        _write_signed(directory, _member_file(member.member), issue(authority, config.group, member.member))
        paths = node_paths(directory, member.member)
        paths.node.mkdir(mode=0o700)  # all customers' balances and orders, for nobody else to read
        paths.snapshots.mkdir()
        found(paths.store, config.group, MemberId(member.member), map_bytes=map_size_bytes)
    _write_durably(directory / GROUP_FILE, msgspec.json.format(msgspec.json.encode(config)), mode=0o644)
    return config


def read_group(directory: Path) -> GroupConfig:
    """Return the group that ``directory`` holds.

    Raises:
        StartRefused: There is none, or its file makes no sense.

    """
    path = directory / GROUP_FILE
    try:
        config = msgspec.json.decode(path.read_bytes(), type=GroupConfig)
    except FileNotFoundError as error:
        raise StartRefused(f"{directory} holds no group (there is no {GROUP_FILE})") from error
    except (ValueError, OSError) as error:
        raise StartRefused(f"{path}: {error}") from error
    config.check()
    return config


def read_secret(directory: Path) -> bytes:
    """Return the key that members prove to each other; refuses a file that others can read."""
    path = directory / SECRET_FILE
    _check_private(path)
    try:
        text = path.read_text(encoding="ascii").strip()
    except (ValueError, OSError) as error:
        raise StartRefused(f"{path}: {error}") from error
    if not _is_hex(text, 2 * SECRET_BYTES):
        raise StartRefused(f"{path} must hold {2 * SECRET_BYTES} lower-case hex digits")
    return bytes.fromhex(text)


def read_tls(directory: Path, member: int) -> PeerTls:
    """Return what that member proves itself with; refuses a key that others can read."""
    folder, name = directory / TLS_FOLDER, _member_file(member)
    _check_private(folder / f"{name}.key")
    return PeerTls(folder / f"{AUTHORITY}.crt", folder / f"{name}.crt", folder / f"{name}.key")


def prepare_replacement(directory: Path, member: int) -> None:
    """Make room for a new machine in the place of a dead one: a new certificate and an empty, joining store.

    What was left of the old member's folder is kept beside it as ``n<member>.replaced-<k>``. Started, the
    new one fetches what the others have and votes once it has caught up; see ``joining``. The old machine
    must never be started again.

    Raises:
        StartRefused: There is no such member, it still runs here, or the authority's key is not here.

    """
    config = read_group(directory)
    if member not in {each.member for each in config.members}:
        raise StartRefused(f"members are 1 to {MEMBERS}, got {member}")
    authority = _read_authority(directory)
    paths = node_paths(directory, member)
    if paths.store.exists():
        refuse_if_owned(paths.store)
    if paths.node.exists():
        count = 1
        while (aside := paths.node.with_name(f"n{member}.replaced-{count}")).exists():
            count += 1
        paths.node.rename(aside)
    _write_signed(directory, _member_file(member), issue(authority, config.group, member))
    paths.snapshots.mkdir(parents=True)
    join(paths.store, config.group, MemberId(member), map_bytes=config.map_size_bytes)


def read_detours(node: Path) -> dict[int, str]:
    """Return where this member reaches others if not at the group's address, by member; mostly nothing.

    Needed behind tunnels and port forwarding. The member itself still listens at its address of the group.

    Raises:
        StartRefused: The file makes no sense.

    """
    path = node / DETOURS_FILE
    try:
        detours = msgspec.json.decode(path.read_bytes(), type=dict[int, str])
        for endpoint in detours.values():
            split_endpoint(endpoint)
    except FileNotFoundError:
        return {}
    except (ValueError, OSError) as error:
        raise StartRefused(f"{path}: {error}") from error
    if not detours.keys() <= set(range(1, MEMBERS + 1)):
        raise StartRefused(f"{path}: members are 1 to {MEMBERS}, got {sorted(detours)}")
    return detours


def group_settings(
    config: GroupConfig, member: int, secret: bytes, detours: Mapping[int, str] = MappingProxyType({})
) -> GroupSettings:
    """Return what the consensus engine of that member needs to know; see ``read_detours``."""
    ways = {each.member: each.peer for each in config.members}
    ways |= {other: way for other, way in detours.items() if other != member}
    return GroupSettings(
        group_id=config.group,
        member=MemberId(member),
        peers={MemberId(other): split_endpoint(way) for other, way in ways.items()},
        secret=secret,
        timeouts=TIMEOUTS[config.profile],
        knows=versions.KNOWN_MAX,
    )


def node_paths(directory: Path, member: int) -> NodePaths:
    """Return where that member keeps what; makes nothing."""
    node = directory.absolute() / f"n{member}"
    return NodePaths(
        node=node,
        store=node / "store",
        snapshots=node / "snapshots",
        front_socket=_socket_path(node / "front.sock"),
        replica_log=node / "replica.log",
        gateway_log=node / "gateway.log",
        archive=node / "archive.sqlite",
        archive_log=node / "archive.log",
    )


def prepare_socket_folder(socket: Path) -> None:
    """Make the folder of a Unix socket if it is one of the short names under the temporary folder.

    Raises:
        StartRefused: Somebody else owns that folder or may write to it.

    """
    folder = socket.parent
    if not folder.name.startswith(_SHORT_FOLDER):
        return
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
        raise StartRefused(f"{folder} must be a folder that only this user can enter")


def split_endpoint(endpoint: str) -> tuple[str, int]:
    """Return host and port of ``host:port``; an IPv6 host stands in brackets.

    Raises:
        ValueError: It is not one.

    """
    host, colon, port = endpoint.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or not 0 < int(port) <= PORT_MAX:
        raise ValueError(f"need host:port with a port from 1 to {PORT_MAX}, got {endpoint!r}")
    return host.removeprefix("[").removesuffix("]"), int(port)


AUTHORITY: Final = "authority"


def _member_file(member: int) -> str:
    return f"n{member}"


def _write_signed(directory: Path, name: str, signed: Signed) -> None:
    folder = directory / TLS_FOLDER
    folder.mkdir(exist_ok=True)
    _write_durably(folder / f"{name}.key", signed.key, mode=0o600)
    _write_durably(folder / f"{name}.crt", signed.certificate, mode=0o644)


def _read_authority(directory: Path) -> Signed:
    folder = directory / TLS_FOLDER
    try:
        return Signed((folder / f"{AUTHORITY}.crt").read_bytes(), (folder / f"{AUTHORITY}.key").read_bytes())
    except OSError as error:
        raise StartRefused(
            f"the group's authority cannot be read, so nobody can be certified: {error}"
        ) from error


def _check_private(path: Path) -> None:
    """Refuse a secret that is missing or that others can read."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError as error:
        raise StartRefused(f"{path}: {error}") from error
    if mode & 0o077:
        raise StartRefused(f"{path} can be read by others: chmod 600 it")


_SHORT_FOLDER: Final = "steelyard-"


def _socket_path(wanted: Path) -> Path:
    if len(os.fsencode(wanted)) <= SOCKET_PATH_BYTES_MAX:
        return wanted
    name = hashlib.blake2b(os.fsencode(wanted), digest_size=12).hexdigest()
    return Path(tempfile.gettempdir()) / f"{_SHORT_FOLDER}{os.geteuid()}" / f"{name}.sock"


def _is_hex(text: str, digits: int) -> bool:
    return len(text) == digits and all(char in "0123456789abcdef" for char in text)


def _write_durably(path: Path, content: bytes, *, mode: int) -> None:
    temporary = path.with_name(path.name + ".new")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with open(fd, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
