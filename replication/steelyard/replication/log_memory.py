"""What a log holds in memory: its newest entries with their chains, and the terms of all of them."""

from bisect import bisect_right
from typing import Final

from steelyard.replication.log_record import Record

#: What a held entry takes beside its body: the record, its index and term, the chain, two dict slots.
_HELD_BYTES: Final = 500


class LogMemory:
    """Entries ``first`` to the last, as far as ``bytes_max`` allows, and the log as runs of equal terms."""

    def __init__(self, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self.records: dict[int, Record] = {}
        self.chains: dict[int, bytes] = {}
        self.first = 1
        """From here on every entry is held."""
        self._bytes = 0
        self._run_firsts: list[int] = []  # so that the term of an entry needs no disk
        self._run_terms: list[int] = []

    def term(self, index: int) -> int:
        """Return the term of an entry of the log, held or not."""
        return self._run_terms[bisect_right(self._run_firsts, index) - 1]

    def term_first_index(self, index: int) -> int:
        """Return the first index of the run of equal terms that ``index`` is in."""
        return self._run_firsts[bisect_right(self._run_firsts, index) - 1]

    def add(self, record: Record, chain: bytes) -> None:
        """Hold an entry behind the last one."""
        if not self.records:
            self.first = record.index
        self.records[record.index] = record
        self.chains[record.index] = chain
        self._bytes += _weight(record)
        if not self._run_terms or self._run_terms[-1] != record.term:
            self._run_firsts.append(record.index)
            self._run_terms.append(record.term)

    def cut(self, first: int, last: int) -> None:
        """Forget the entries ``first`` to ``last``, which is the last of all."""
        self._forget(max(first, self.first), last + 1)
        self.first = min(self.first, first)
        while self._run_firsts and self._run_firsts[-1] >= first:
            self._run_firsts.pop()
            self._run_terms.pop()

    def trim(self, first: int, keep_from: int) -> None:
        """Forget the entries from ``first``, which is the first of all, up to ``keep_from``."""
        self._forget(max(first, self.first), keep_from)
        self.first = max(self.first, keep_from)
        run = bisect_right(self._run_firsts, keep_from) - 1
        del self._run_firsts[:run], self._run_terms[:run]
        self._run_firsts[0] = keep_from

    def clear(self, first: int) -> None:
        """Forget everything; the next entry will be ``first``."""
        self.records.clear()
        self.chains.clear()
        self._run_firsts.clear()
        self._run_terms.clear()
        self._bytes, self.first = 0, first

    def evict(self, before: int) -> None:
        """Let the oldest entries go while too many bytes are held, those before ``before`` at most."""
        while self._bytes > self.bytes_max and self.first < before:
            self._forget(self.first, self.first + 1)
            self.first += 1

    def _forget(self, first: int, end: int) -> None:
        for index in range(first, end):
            self._bytes -= _weight(self.records.pop(index))
            del self.chains[index]


def _weight(record: Record) -> int:
    return len(record.body) + _HELD_BYTES
