"""The made-up market."""

from steelyard.ops import synthetic
from steelyard.ops.capture import Change, Print
from steelyard.ops.mirror import Mirror


def test_the_same_seed_gives_the_same_market() -> None:
    assert list(synthetic.lines(seed=3, diffs=20)) == list(synthetic.lines(seed=3, diffs=20))
    assert list(synthetic.lines(seed=3, diffs=20)) != list(synthetic.lines(seed=4, diffs=20))


def test_a_rebuilt_book_equals_the_recorded_best_prices() -> None:
    capture = synthetic.capture(seed=1, diffs=200)
    survey = capture.survey()
    mirror = Mirror(size_max_lots=10**9)
    checked = 0
    for event in capture.events(survey.scales):
        if isinstance(event, Print):
            mirror.take(buying=event.buying, limit_ticks=event.price_ticks, size_lots=event.size_lots)
            continue
        mirror.reconcile(event.bids, event.asks)
        best = survey.best.get(event.update) if isinstance(event, Change) else None
        if best is not None:
            assert mirror.best() == ((best.bid_ticks, best.bid_lots), (best.ask_ticks, best.ask_lots))
            checked += 1
    assert checked == len(survey.best) == 200 // synthetic.TICKER_EVERY
