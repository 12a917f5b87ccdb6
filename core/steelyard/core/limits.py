"""Every bound of the exchange, with the arithmetic that justifies it.

A fill cannot be refused half-way, so whatever could overflow or grow without end is refused at the door.
"""

from typing import Final

#: Every integer that is stored has abs(value) < 2**62: it fits int64 with a bit to spare for one addition.
INTEGER_MAX: Final = 2**62 - 1

#: A deposit may take abs(OMNIBUS) of an asset up to here.  All customers together own at most that, so no
#: later credit can pass 2**62.
OMNIBUS_ATOMS_MAX: Final = 2**61

#: ``price_max * size_max * k`` and ``size_max * lot_atoms`` of an instrument.  With the largest fee, and the
#: fee of each lot rounded up, a pledge is at most 1.1 * 10**18 + size_max, which is below 2**61.
NOTIONAL_ATOMS_MAX: Final = 10**18

#: Ten per cent.  A fee is never above the notional that it is taken from.
FEE_PPM_MAX: Final = 100_000

#: 10**18 atoms per unit, as Ethereum has; two of them multiplied stay a small Python integer.
DECIMALS_MAX: Final = 18

#: An account takes 700 bytes with two balances: 0.7 GB for all of them.
ACCOUNTS_MAX: Final = 1_000_000

#: A key takes 250 bytes: 0.25 GB.  Revoked keys stay, so that they are never taken for unknown ones.
KEYS_MAX: Final = 1_000_000

#: One session per process of a customer, with room for restarts.  A reply that is kept takes 200 bytes, so an
#: account's sessions take at most 64 * 1024 * 200 bytes = 13 MB.
SESSIONS_PER_ACCOUNT_MAX: Final = 64

#: Requests that one session may have unanswered.
REPLY_WINDOW_MAX: Final = 1024

#: A session unused for seven days of log time is gone; no copy of a request is under way that long.
SESSION_IDLE_NS: Final = 7 * 24 * 3600 * 10**9

#: 400 bytes an order: 80 MB for one account, which is ten times the orders of a busy market maker.
ORDERS_PER_ACCOUNT_MAX: Final = 200_000

#: 400 bytes an order: 0.8 GB.  It also bounds what one sweep or one closing can have to do.
ORDERS_MAX: Final = 2_000_000

#: A listing takes 2 kB with its empty book; the bound keeps an answer about all of them below a megabyte.
ASSETS_MAX: Final = 4096
INSTRUMENTS_MAX: Final = 4096

#: Closed orders whose ids an account may not use again: a copy of a request that went through another session
#: comes soon or never.  64 * 80 bytes = 5 kB for an account that trades.
RECENT_ORDERS_MAX: Final = 64

#: Orders of one instrument that wait for a price.  One trade may meet them all, which takes them out of the
#: index at once: 20,000 * 8 us = 0.16 s, well below half of the shortest election timeout.
WAITING_PER_INSTRUMENT_MAX: Final = 20_000

#: Commands of one batch, and orders of one list.  A batch is one request, so it must be short work.
BATCH_MAX: Final = 100
LIST_LEGS_MAX: Final = 3

#: Slices of one iceberg: whoever takes it all makes one trade per slice, and that is one command.
ICEBERG_SLICES_MAX: Final = 100

#: Units of long work (a triggered order, an expiry, a pair of an auction) that one entry does before its
#: commands.  100 * 20 us = 2 ms: clients' commands get in between two portions.
WORK_PER_ENTRY_MAX: Final = 100

#: Index prices, and what one of them may be told at once.
INDICES_MAX: Final = 4096
SOURCES_MAX: Final = 64

#: Working orders about one position.  What a mark does to them is asked of each: 1,000 * 0.2 us.
ORDERS_PER_POSITION_MAX: Final = 1_000

#: Positions (with lots, orders or terms) of one margin wallet: their margin is summed with every order.
POSITIONS_PER_MARGIN_MAX: Final = 64

#: Units of liquidation that one entry does before its other work.  20 * 0.2 ms = 4 ms.
LIQUIDATION_STEPS_PER_ENTRY_MAX: Final = 20
#: Winners that a loss is shared by at a time: one event of at most some 10 kB.
SHARES_MAX: Final = 1000

#: How often a contract's book is looked at for its mark and its funding.
SAMPLE_NS: Final = 5 * 10**9
BASES_MAX: Final = 30

#: What a lot may owe of funding for one interval at the highest price and rate.  Cumulative funding begins
#: anew as a sweep ends with this or more, and a day's interval may accrue three times it: below 2**63, and
#: with that the one integer that may pass ``INTEGER_MAX``.
FUNDING_NANOATOMS_MAX: Final = 2**61

#: How long after the last loss margin wallets stay closed to withdrawals.
GATE_NS: Final = 600 * 10**9
#: How long the insurance fund's peak counts.
PEAK_NS: Final = 8 * 3600 * 10**9

#: How long a countdown may be; longer is a good-till-date order.
COUNTDOWN_NS_MAX: Final = 24 * 3600 * 10**9

#: One per strategy, with room to spare; it bounds what an answer about a family holds.
SUB_ACCOUNTS_MAX: Final = 256
HOLDS_PER_ACCOUNT_MAX: Final = 1024
TIERS_MAX: Final = 64

#: A fee tier, a band or a halt applies within these bounds.
BAND_PPM_MAX: Final = 100_000_000
PAUSE_NS_MAX: Final = 30 * 24 * 3600 * 10**9

#: Levels of one side in one answer.
BOOK_DEPTH_MAX: Final = 1000

LABEL_MAX: Final = 36
SESSION_NAME_MAX: Final = 64
GROUP_NAME_MAX: Final = 64
SYMBOL_MAX: Final = 32

#: What a symbol may consist of.
SYMBOL_ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_./:"

#: The length of an Ed25519 public key.
PUBLIC_KEY_BYTES: Final = 32


def is_printable_ascii(text: str, length_max: int) -> bool:
    """Return whether ``text`` has at most ``length_max`` characters, all of them from space to tilde."""
    return len(text) <= length_max and text.isascii() and text.isprintable()


def is_symbol(text: str) -> bool:
    """Return whether ``text`` can name an asset or an instrument."""
    return 0 < len(text) <= SYMBOL_MAX and all(character in SYMBOL_ALPHABET for character in text)


def is_id(value: int) -> bool:
    """Return whether ``value`` can be an id that somebody outside picks."""
    return 0 < value <= INTEGER_MAX
