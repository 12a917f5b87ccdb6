"""The benchmark of marks runs, says what it measured, and finds the same in three ways."""

from steelyard.ops.bench_mark import run


def test_a_short_run_gives_every_figure() -> None:
    advanced: list[int] = []

    result = run(positions=2_000, rounds=4, advanced=advanced.append)

    assert list(result) == [
        "positions",
        "rounds",
        "indexed_ms",
        "plain_scan_ms",
        "numpy_scan_ms",
        "nominated",
        "changed",
        "liquidations",
        "indexed_ms_max",
        "first_look_ms",
        "jump",
        "ranking",
        "flavour",
        "machine",
    ]
    assert (result["positions"], result["rounds"], len(advanced)) == (2_000, 4, 4)
    # A tick concerns few of them, a fall of a fifth nearly every long.
    assert result["nominated"] < 50
    assert 400 < result["jump"]["liquidations"] <= result["jump"]["changed"] <= 1_000
    assert (result["ranking"]["ranked"], result["ranking"]["head"]) == (1_000, 10)
    assert result["ranking"]["next_ms"] > 0
