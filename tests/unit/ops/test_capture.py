"""Captures made by hand, sound and broken."""

import gzip
from collections.abc import Sequence
from pathlib import Path

import pytest

from steelyard.ops.capture import Best, Capture, Change, Event, Print, Scales, Start
from steelyard.ops.errors import CaptureError

TIME = 1_700_000_000_000_000_000
SNAPSHOT = '{"lastUpdateId":10,"bids":[["99.0","1.000"]],"asks":[["101.0","2.000"],["102.5","0.250"]]}'


def diff(first: int, last: int, bids: str = "[]", asks: str = "[]", *, previous: int | None = None) -> str:
    pu = "" if previous is None else f'"pu":{previous},'
    data = f'{{"e":"depthUpdate","s":"BTCUSDT","U":{first},"u":{last},{pu}"b":{bids},"a":{asks}}}'
    return f'{{"stream":"btcusdt@depth@100ms","data":{data}}}'


def trade(price: str = "101.0", size: str = "0.5", *, buyer_made: str = "false", kind: str = "MARKET") -> str:
    data = f'{{"e":"trade","p":"{price}","q":"{size}","m":{buyer_made},"X":"{kind}"}}'
    return f'{{"stream":"btcusdt@trade","data":{data}}}'


def ticker(update: int, bid: str, bid_size: str, ask: str, ask_size: str) -> str:
    data = f'{{"u":{update},"b":"{bid}","B":"{bid_size}","a":"{ask}","A":"{ask_size}"}}'
    return f'{{"stream":"btcusdt@bookTicker","data":{data}}}'


def capture(*records: str) -> Capture:
    lines = [f"{TIME + number} {record}\n".encode() for number, record in enumerate(records)]
    return Capture("made by hand", lambda: lines)


def events(*records: str) -> Sequence[Event]:
    return list(capture(*records).events(Scales(1, 3)))


def test_ticks_and_lots_are_the_finest_decimals_in_use() -> None:
    survey = capture(SNAPSHOT, diff(11, 12, bids='[["98.50","0.12300000"]]'), trade()).survey()
    assert survey.scales == Scales(price_decimals=1, size_decimals=3)
    assert (survey.symbol, survey.lines, survey.diffs, survey.prints) == ("BTCUSDT", 3, 1, 1)


def test_snapshot_diffs_and_trades_come_in_order() -> None:
    assert events(SNAPSHOT, trade(buyer_made="true"), diff(11, 12, asks='[["101.0","0"]]')) == [
        Start(1, 10, [(990, 1000)], [(1010, 2000), (1025, 250)]),
        Print(2, 1010, 500, buying=False),
        Change(3, 12, [], [(1010, 0)]),
    ]


def test_diffs_before_the_snapshot_are_applied_as_far_as_they_are_newer() -> None:
    found = events(
        diff(5, 8), diff(9, 10), diff(11, 13, bids='[["98","1"]]'), trade(), SNAPSHOT, diff(14, 15)
    )
    assert [(type(event), event.line) for event in found] == [(Start, 5), (Change, 5), (Change, 6)]


def test_futures_diffs_chain_by_their_predecessor() -> None:
    found = events(SNAPSHOT, diff(8, 10, previous=7), diff(15, 20, previous=10))
    assert [event.update for event in found if isinstance(event, Change)] == [10, 20]
    with pytest.raises(CaptureError, match=r"line 3: a hole in the diffs: 11 follows 10"):
        events(SNAPSHOT, diff(8, 10, previous=7), diff(15, 20, previous=11))


def test_spot_diffs_chain_by_the_next_number() -> None:
    with pytest.raises(CaptureError, match=r"line 3: a hole in the diffs: 14 follows 13"):
        events(SNAPSHOT, diff(10, 12), diff(14, 15))


def test_a_first_diff_after_the_snapshot_is_a_hole() -> None:
    with pytest.raises(CaptureError, match=r"line 2: the first diff starts at 12, after the snapshot 10"):
        events(SNAPSHOT, diff(12, 13))


def test_best_prices_are_those_at_update_ids_of_applied_diffs() -> None:
    survey = capture(
        diff(5, 8),
        SNAPSHOT,
        ticker(8, "1", "1", "2", "1"),
        ticker(12, "99.0", "1", "101.0", "2"),
        diff(11, 12),
    ).survey()
    assert survey.best == {12: Best(990, 100, 1010, 200)}


def test_prints_that_did_not_meet_the_book_are_left_out() -> None:
    found = capture(SNAPSHOT, trade(kind="INSURANCE_FUND", price="1.23"), trade())
    assert [type(event) for event in found.events(Scales(1, 3))] == [Start, Print]
    assert found.survey().other_prints == 1


def test_other_streams_are_left_out() -> None:
    assert len(events(SNAPSHOT, '{"stream":"btcusdt@aggTrade","data":{"any":"thing"}}')) == 1


@pytest.mark.parametrize(
    ("record", "fault"),
    [
        ("not json", "line 2: not a record"),
        ("{}", "line 2: neither a stream message nor a snapshot"),
        ('{"stream":"btcusdt@trade","data":{"p":"1","q":"1"}}', "line 2: not a record"),
        ('{"stream":"btcusdt@trade","data":7}', "line 2: not a record"),
        (trade(price="NaN"), "line 2: 'NaN' is not a decimal number"),
        (trade(price="-1"), "line 2: '-1' is not a decimal number"),
        (trade(size="1e5"), "line 2: '1e5' is not a decimal number"),
        (trade(size="\u0661"), "line 2: '\u0661' is not a decimal number"),
        (trade(size="9" * 40), "is not a decimal number"),
        (trade(size="0.000"), "line 2: a trade of nothing"),
        (diff(11, 12, bids='[["99.0"]]'), "line 2: not a record"),
        (diff(11, 12, bids='[["99.01","1"]]'), "line 2: '99.01' has more than 1 decimals"),
        (SNAPSHOT, "line 2: a second snapshot"),
    ],
)
def test_a_broken_line_is_named(record: str, fault: str) -> None:
    with pytest.raises(CaptureError, match=fault):
        events(SNAPSHOT, record)


def test_a_line_without_a_time_is_named() -> None:
    broken = Capture("made by hand", lambda: [f"{TIME} {SNAPSHOT}\n".encode(), SNAPSHOT.encode()])
    with pytest.raises(CaptureError, match="line 2: does not start with"):
        broken.survey()


def test_a_capture_without_snapshot_or_without_anything_is_refused() -> None:
    with pytest.raises(CaptureError, match="no snapshot"):
        capture(trade()).survey()
    with pytest.raises(CaptureError, match="is empty"):
        capture().survey()


def test_files_that_are_missing_cut_off_or_not_gzip_are_refused(tmp_path: Path) -> None:
    whole = gzip.compress(f"{TIME} {SNAPSHOT}\n".encode(), mtime=0)
    sound, cut, plain = (tmp_path / name for name in ("sound.gz", "cut.gz", "plain.gz"))
    sound.write_bytes(whole)
    cut.write_bytes(whole[:-9])
    plain.write_bytes(f"{TIME} {SNAPSHOT}\n".encode())

    assert Capture.from_file(sound).survey().lines == 1
    for path in (cut, plain):
        with pytest.raises(CaptureError, match="not sound gzip data"):
            Capture.from_file(path).survey()
    with pytest.raises(CaptureError, match="No such file"):
        Capture.from_file(tmp_path / "missing.gz").survey()
