"""The benchmark of the core runs, and says what it measured."""

import pytest

from steelyard.ops.bench_core import Mix, run


@pytest.mark.parametrize("mix", Mix)
def test_a_short_run_gives_every_figure(mix: Mix) -> None:
    advanced: list[int] = []

    result = run(commands=400, batch=20, resting=200, accounts=5, mix=mix, advanced=advanced.append)

    assert list(result) == [
        "mix",
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
    assert result["mix"] == mix
    assert result["version"] == 3
    assert result["commands"] == 400
    assert result["flavour"] == "interpreted"
    assert sum(advanced) == 800
    trades = result["trades"]
    assert isinstance(trades, int)
    assert trades > 0
