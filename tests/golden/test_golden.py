"""Bytes that may change only on purpose: ``python -m tests.golden.regenerate`` records them anew."""

from typing import get_args

import msgspec
import pytest
from tests.golden.regenerate import GOLDEN, WIRE, Golden
from tests.golden.samples import encoded_samples
from tests.helpers.coverage import Coverage
from tests.helpers.digests import digests_of, load_log, replayed
from tests.helpers.duel import Duel

from steelyard.core import Exchange, snapshot, wire
from steelyard.core.commands import AnyCommand
from steelyard.core.entry import AnyReply
from steelyard.core.events import AnyEvent
from steelyard.core.units import LiquidationEnd

#: What a log of version 2 never holds: groups are founded at it here, and Skip is answered by its refusal.
NOT_IN_THE_SECOND_LOG = {"FoundGroup", "ActivateVersion", "VersionActivated", "Skip"}
#: What the first version says.
FIRST_WORDS = {
    "Accepted",
    "AccountOpened",
    "ApiKeyCreated",
    "ApiKeyRevoked",
    "AssetListed",
    "Cancelled",
    "Deposited",
    "GroupFounded",
    "InstrumentListed",
    "InstrumentStateChanged",
    "OrderAccepted",
    "OrderCancelled",
    "OrderExpired",
    "OrderFilled",
    "OrderRested",
    "Placed",
    "Refused",
    "RequestSkipped",
    "SessionOpened",
    "SessionReady",
    "Traded",
    "Withdrawn",
}

of_each_version = pytest.mark.parametrize("golden", GOLDEN.values(), ids=lambda golden: golden.log.stem)


def met_by(golden: Golden) -> Coverage:
    """Replay a log and count what it holds."""
    exchange, met = Exchange(), Coverage()
    for index, body in enumerate(load_log(golden.log), 1):
        met.note(wire.decode_entry(body), exchange.apply_bytes(index, body)[0])
    return met


@of_each_version
def test_an_old_log_replays_to_the_recorded_digests(golden: Golden) -> None:
    assert digests_of(load_log(golden.log)) == msgspec.json.decode(golden.digests.read_bytes())


@of_each_version
def test_an_old_snapshot_is_restored_and_dumped_to_the_recorded_bytes(golden: Golden) -> None:
    kept = golden.snapshot.read_bytes()
    restored = snapshot.load(kept)
    restored.check_invariants()
    assert snapshot.dump(restored) == kept
    assert snapshot.dump(replayed(load_log(golden.log))) == kept


def test_the_wire_bytes_of_everything_are_as_recorded() -> None:
    assert encoded_samples() == msgspec.json.decode(WIRE.read_bytes())


@of_each_version
def test_the_twin_agrees_about_an_old_log(golden: Golden) -> None:
    both = Duel()
    for body in load_log(golden.log):
        both.step(wire.decode_entry(body))
    both.compare_states()


def test_the_first_log_is_worth_replaying() -> None:
    met = met_by(GOLDEN[1])
    assert met.replies.keys() | met.events.keys() == FIRST_WORDS, "an old log is of the first version"
    assert met.events["Traded"] > 100


def test_the_second_log_is_worth_replaying() -> None:
    met = met_by(GOLDEN[2])
    kinds = (*get_args(AnyCommand), *get_args(AnyReply), *get_args(AnyEvent))
    words = {kind.__name__ for kind in kinds if not kind.__module__.endswith(".contracts")}
    said = met.accepted.keys() | met.replies.keys() | met.events.keys()
    assert said == words - NOT_IN_THE_SECOND_LOG
    assert met.events["Traded"] > 100


def test_the_third_log_is_worth_replaying() -> None:
    met = met_by(GOLDEN[3])
    kinds = (*get_args(AnyCommand), *get_args(AnyEvent))
    words = {kind.__name__ for kind in kinds if kind.__module__.endswith(".contracts")}
    assert words - met.accepted.keys() - met.events.keys() == set()
    ends = {f"a liquidation ends {end.name}" for end in LiquidationEnd if end != LiquidationEnd.FUND}
    assert ends - met.scenes.keys() == set()
    assert met.events["PositionsTraded"] > 100
