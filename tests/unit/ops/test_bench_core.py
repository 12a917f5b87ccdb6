"""The benchmark of the core runs, and says what it measured."""

from steelyard.ops.bench_core import run


def test_a_short_run_gives_every_figure() -> None:
    advanced: list[int] = []

    result = run(commands=400, batch=20, resting=200, accounts=5, advanced=advanced.append)

    assert list(result) == [
        "version",
        "commands_per_second",
        "us_per_command",
        "cpu_us_per_command",
        "p50_ms",
        "p99_ms",
        "commands",
        "batch",
        "resting",
        "trades",
        "accounts",
        "flavour",
        "machine",
    ]
    assert result["version"] == 2
    assert result["commands"] == 400
    assert result["flavour"] == "interpreted"
    assert sum(advanced) == 800
    trades = result["trades"]
    assert isinstance(trades, int)
    assert trades > 0
