"""Behaviour changes are switched on in the log, and a build that does not know one stops before it."""

import msgspec
import pytest
from tests.helpers.builders import founded, refusal

from steelyard.core import Exchange, snapshot, versions, wire
from steelyard.core.commands import ActivateVersion
from steelyard.core.entry import ENTRY_VERSION, Accepted, Entry
from steelyard.core.events import VersionActivated
from steelyard.core.rejects import Reject
from steelyard.core.units import AccountId


@pytest.fixture
def first_build(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be a build that knows the first version only."""
    monkeypatch.setattr(versions, "KNOWN_MAX", 1)


def test_an_operator_activates_the_next_version() -> None:
    venue = founded()
    assert venue.exchange.state.version == versions.FIRST
    outcome = venue.operate(ActivateVersion(version=2))
    assert isinstance(outcome.reply, Accepted)
    assert outcome.events == [VersionActivated(version=2)]
    assert venue.exchange.state.version == 2


@pytest.mark.parametrize(
    ("version", "reason"),
    [(0, Reject.MALFORMED), (-1, Reject.MALFORMED), (2**62, Reject.MALFORMED)]
    + [(version, Reject.STATE_MOVE) for version in (1, 3, 99)],
)
def test_only_the_next_version_can_be_activated(version: int, reason: Reject) -> None:
    venue = founded()
    assert refusal(venue.operate(ActivateVersion(version=version))) == reason
    assert venue.exchange.state.version == 1


def test_customers_activate_nothing() -> None:
    venue = founded()
    account = AccountId(1000)
    venue.open_account(account)
    venue.open_session(account)
    assert refusal(venue.ask(account, ActivateVersion(version=2))) == Reject.NOT_PERMITTED


@pytest.mark.usefixtures("first_build")
def test_a_build_that_does_not_know_the_version_stops_where_it_is_activated() -> None:
    venue = founded()
    with pytest.raises(versions.UnknownVersion, match="version 2 is activated here, and this build knows 1"):
        venue.operate(ActivateVersion(version=2))
    assert venue.exchange.state.version == 1


@pytest.mark.usefixtures("first_build")
def test_an_entry_of_an_unknown_version_is_not_applied() -> None:
    exchange = Exchange()
    before = snapshot.dump(exchange)
    body = msgspec.msgpack.encode([ENTRY_VERSION + 1, 5, []])
    with pytest.raises(wire.UnknownEntry, match="entry of version 2, and this build knows 1"):
        exchange.apply_bytes(1, body)
    assert snapshot.dump(exchange) == before


def test_an_entry_may_be_older_than_the_version_in_force_but_not_newer() -> None:
    venue = founded()
    exchange = venue.exchange
    with pytest.raises(AssertionError):
        exchange.apply(exchange.applied_index + 1, Entry(2, exchange.time_ns + 1, []))
    venue.operate(ActivateVersion(version=2))
    for version in (1, 2):
        exchange.apply(exchange.applied_index + 1, Entry(version, exchange.time_ns + 1, []))


def test_the_version_in_force_is_in_the_snapshot(monkeypatch: pytest.MonkeyPatch) -> None:
    venue = founded()
    venue.operate(ActivateVersion(version=2))
    kept = snapshot.dump(venue.exchange)
    restored = snapshot.load(kept)
    assert restored.state.version == 2
    assert snapshot.dump(restored) == kept
    monkeypatch.setattr(versions, "KNOWN_MAX", 1)
    with pytest.raises(snapshot.SnapshotError, match="version 2 is in force, and this build knows 1"):
        snapshot.load(kept)


def test_a_new_build_does_with_an_old_log_what_the_old_one_did(monkeypatch: pytest.MonkeyPatch) -> None:
    new = snapshot.dump(founded().exchange)
    monkeypatch.setattr(versions, "KNOWN_MAX", 1)
    assert snapshot.dump(founded().exchange) == new
