"""Bytes that may change only on purpose: ``python -m tests.golden.regenerate`` records them anew."""

from typing import get_args

import msgspec
from tests.golden.regenerate import DIGESTS, LOG, SNAPSHOT, WIRE
from tests.golden.samples import encoded_samples
from tests.helpers.digests import digests_of, load_log, replayed
from tests.helpers.duel import Duel

from steelyard.core import Exchange, snapshot, wire
from steelyard.core.entry import AnyReply
from steelyard.core.events import AnyEvent


def test_an_old_log_replays_to_the_recorded_digests() -> None:
    assert digests_of(load_log(LOG)) == msgspec.json.decode(DIGESTS.read_bytes())


def test_an_old_snapshot_is_restored_and_dumped_to_the_recorded_bytes() -> None:
    kept = SNAPSHOT.read_bytes()
    restored = snapshot.load(kept)
    restored.check_invariants()
    assert snapshot.dump(restored) == kept
    assert snapshot.dump(replayed(load_log(LOG))) == kept


def test_the_wire_bytes_of_everything_are_as_recorded() -> None:
    assert encoded_samples() == msgspec.json.decode(WIRE.read_bytes())


def test_the_twin_agrees_about_the_old_log() -> None:
    both = Duel()
    for body in load_log(LOG):
        both.step(wire.decode_entry(body))
    both.compare_states()


def test_the_old_log_is_worth_replaying() -> None:
    exchange = Exchange()
    said: dict[str, int] = {}
    for index, body in enumerate(load_log(LOG), 1):
        applied, _ = exchange.apply_bytes(index, body)
        for outcome in applied.outcomes:
            for spoken in (outcome.reply, *outcome.events):
                name = type(spoken).__name__
                said[name] = said.get(name, 0) + 1
    kinds = {kind.__name__ for kind in (*get_args(AnyReply), *get_args(AnyEvent))}
    assert said.keys() == kinds - {"VersionActivated"}, "an old log is of the first version"
    assert said["Traded"] > 100
    assert len(snapshot.dump(exchange)) > 1_000
