"""The log store against a naive twin, with crashes between any two calls."""

import hashlib

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.helpers.scripted import GROUP, US, founded

from steelyard.replication.log_store import LogStore, SnapshotRef


def naive_chain(log: list[tuple[int, bytes]], index: int) -> bytes:
    """Return the chain up to ``index`` from all entries since 1."""
    chain = bytes(16)
    for position, (term, body) in enumerate(log[:index], 1):
        raw = chain + position.to_bytes(8, "big") + term.to_bytes(8, "big") + body
        chain = hashlib.blake2b(raw, digest_size=16).digest()
    return chain


class StoreMachine(RuleBasedStateMachine):
    """``log`` is what the store says now, ``durable`` what a crash leaves; neither is ever trimmed."""

    @initialize()
    def found(self) -> None:
        """Begin with an empty store."""
        self.disk = founded()
        self.store = LogStore(self.disk, GROUP, US, cache_bytes_max=30)
        self.log: list[tuple[int, bytes]] = []
        self.hard = (0, 0, 0)
        self.durable = (list(self.log), self.hard)

    @rule(bodies=st.lists(st.binary(max_size=12), min_size=1, max_size=6), newer=st.booleans())
    def append(self, bodies: list[bytes], newer: bool) -> None:
        """Append entries of this term or the next."""
        term = (self.log[-1][0] if self.log else 0) + newer
        for body in bodies:
            self.store.append(len(self.log) + 1, term, body)
            self.log.append((term, body))

    @rule(data=st.data())
    def truncate(self, data: st.DataObject) -> None:
        """Cut above the commit index."""
        first = data.draw(st.integers(max(self.hard[2], self.store.first_index - 1) + 1, len(self.log) + 1))
        self.store.truncate(first)
        del self.log[first - 1 :]

    @rule(data=st.data(), term=st.integers(0, 1), vote=st.integers(0, 3))
    def promise(self, data: st.DataObject, term: int, vote: int) -> None:
        """Raise the term, vote, or commit."""
        commit = data.draw(st.integers(self.hard[2], max(len(self.log), self.hard[2])))
        vote = vote if term or not self.hard[1] else self.hard[1]
        self.hard = (self.hard[0] + term, vote, commit)
        self.store.hard_state(*self.hard)

    @precondition(lambda self: self.hard[2] >= max(2, self.store.first_index))
    @rule(data=st.data(), keep=st.integers(1, 40))
    def snapshot_and_trim(self, data: st.DataObject, keep: int) -> None:
        """Point at a snapshot and let old entries go."""
        index = data.draw(st.integers(max(2, self.store.first_index), self.hard[2]))
        self.store.add_snapshot(SnapshotRef(index, self.log[index - 1][0], f"at {index}", b""))
        self.store.trim(keep)

    @rule()
    def flush(self) -> None:
        """Make everything durable."""
        self.store.save_commit()
        self.store.flush()
        self.durable = (list(self.log), self.hard)

    @rule()
    def crash(self) -> None:
        """Lose what was not flushed."""
        self.store = LogStore(self.disk, GROUP, US, cache_bytes_max=30)
        log, hard = self.durable
        self.log, self.hard = list(log), hard

    @invariant()
    def agrees(self) -> None:
        """Compare everything that can be read."""
        store, first = self.store, self.store.first_index
        assert store.last_index == len(self.log)
        assert (store.current_term, store.vote, store.commit_index) == self.hard
        assert [(r.term, r.body) for r in store.entries(first, len(self.log))] == self.log[first - 1 :]
        for index in range(first, len(self.log) + 1):
            assert store.term(index) == self.log[index - 1][0]
            assert store.chain(index) == naive_chain(self.log, index)
            run = store.term_first_index(index)
            assert all(self.log[i - 1][0] == store.term(index) for i in range(run, index))
        assert store.chain(first - 1) == naive_chain(self.log, first - 1)


StoreMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
test_the_store_agrees_with_its_twin = StoreMachine.TestCase
