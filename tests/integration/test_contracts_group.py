"""A real group: a perpetual is listed and traded, its leader is killed, who cannot carry it is liquidated."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from steelyard.ops.cli import cli
from steelyard.ops.cluster import LocalGroup, child_environment
from steelyard.ops.errors import EXPECTED

pytestmark = pytest.mark.processes

WAIT_S = 60.0
RULES = """
position_max = "1000"
open_interest_max = "10000"
mark = "fed"

[[margin.tier]]
maintenance = "1%"
initial = "2%"

[funding]
interval = "1m"
interest = "0.01%"
"""


class Shell:
    """Runs the command line, in this process, against one group."""

    def __init__(self, data: Path) -> None:
        self.data = data

    def __call__(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        """Run a command with ``--json``; return the one object it prints."""
        found: dict[str, Any] = json.loads(self.said(*arguments, "--json", code=code))
        return found

    def said(self, *arguments: str, code: int = 0) -> str:
        """Run a command; return what it prints."""
        done = CliRunner().invoke(cli, [*arguments, "--data", str(self.data)])
        assert done.exit_code == code, (arguments, done.output, done.exception)
        return done.stdout

    def outside(self, *arguments: str) -> None:
        """Run a command in a process of its own."""
        command = [sys.executable, "-m", "steelyard.ops", *arguments, "--data", str(self.data)]
        subprocess.run(command, check=True, capture_output=True, env=child_environment(), timeout=120)

    def fault(self, *arguments: str) -> str:
        """Run a command that cannot be carried out; return what it says to the person."""
        done = CliRunner().invoke(cli, [*arguments, "--data", str(self.data)])
        assert isinstance(done.exception, EXPECTED), done
        return str(done.exception)


def until(ask: Callable[[], dict[str, Any]], enough: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Ask until the answer is what it should come to."""
    until_s = time.monotonic() + WAIT_S
    while not enough(found := ask()):
        assert time.monotonic() < until_s, found
        time.sleep(0.1)
    return found


def list_perpetual(run: Shell, rules: Path) -> None:
    """List an index and a contract whose mark is fed, with both at 100, and insure it."""
    rules.write_text(RULES)
    run("operate", "list-index", "BTC", "--tick", "0.01", "--stale", "3600")
    run("operate", "create-key", "feed", "9", "--permissions", "read,feed")
    run(
        "operate",
        "list-contract",
        "BTC-PERP",
        *("--base", "BTC", "--quote", "USDT", "--index", "BTC", "--lot", "0.001"),
        *(
            "--price-max",
            "100000",
            "--size-max",
            "100",
            "--taker-ppm",
            "500",
            "--rules",
            str(rules),
            "--open",
        ),
    )
    run("operate", "index-price", "BTC", "100", "99.99", "100.01", "--key", "feed")
    run("operate", "mark", "BTC-PERP", "100", "--key", "feed")
    run("operate", "insurance", "USDT", "1000")


def kill_leader(data: Path, run: Shell) -> None:
    """Kill the replica that leads, and wait for another leader."""
    status = run("status")
    (leader,) = [node for node in status["nodes"] if node["role"] == "leader"]
    group = LocalGroup.open(data)
    replica = group.refresh().nodes[leader["member"]].replica
    assert replica is not None
    os.kill(replica.pid, signal.SIGKILL)


def test_a_perpetual_is_traded_and_liquidated_across_a_killed_leader(tmp_path: Path) -> None:
    data = tmp_path / "group"
    run = Shell(data)
    run.outside("up", "--detach")
    try:
        list_perpetual(run, tmp_path / "rules.toml")
        for key, amount in (("alice", "5"), ("bob", "1000")):
            run("account", "move-margin", "USDT", amount, "--key", key)
        run("account", "leverage", "BTC-PERP", "50", "--key", "alice")
        run("trade", "sell", "BTC-PERP", "1", "--limit", "100", "--key", "bob")
        bought = run("trade", "buy", "BTC-PERP", "1", "--limit", "100")
        assert (bought["reply"]["executed"], bought["reply"]["fee"]) == ("1.000", "0.05000000")
        waits = run("trade", "sell", "BTC-PERP", "--close", "--stop", "50", "--index")
        assert waits["reply"]["kind"] == "waiting"
        refused = run("trade", "buy", "BTC-PERP", "1000", "--limit", "99", code=1)
        assert "SIZE_OUT_OF_RANGE" in refused["answer"] or "INSUFFICIENT_MARGIN" in refused["answer"]

        (position,) = run("account", "positions")["positions"]
        assert (position["size"], position["entry"], position["level"]) == ("1.000", "100.0000", "safe")
        assert Decimal(95) < Decimal(position["liquidation"]) < Decimal(97)
        (margin,) = run("account", "margin")["margins"]
        assert Decimal(margin["wallet"]) == Decimal("4.95")
        assert run("contracts")["contracts"][0]["open_interest"] == "1.000"
        again = run.said("operate", "contract-rules", "BTC-PERP")
        (tmp_path / "again.toml").write_text(again)
        run("operate", "contract-rules", "BTC-PERP", "--rules", str(tmp_path / "again.toml"))
        assert run.said("operate", "contract-rules", "BTC-PERP") == again

        kill_leader(data, run)

        run("trade", "buy", "BTC-PERP", "1", "--limit", "95", "--key", "bob")
        run("operate", "mark", "BTC-PERP", "95.5", "--key", "feed")
        until(
            lambda: run("account", "positions"),
            lambda found: all(not Decimal(row["size"]) for row in found["positions"]),
        )
        found = until(
            lambda: run("liquidations"),
            lambda found: "ended" in [row["step"] for row in found["liquidations"]],
        )
        steps = found["liquidations"]
        assert [step["step"] for step in steps][:3] == ["started", "stepped", "paid"]
        assert [step["symbol"] for step in steps][:3] == [None, "BTC-PERP", "BTC-PERP"]
        assert (steps[-1]["step"], steps[-1]["symbol"]) == ("ended", None)
        assert run("liquidations", "BTC-PERP")["liquidations"] == steps
        index = run("account", "positions")["log_index"]
        for key in ("alice", "bob"):
            told = until(
                lambda key=key: run("account", "statement", "--key", key),  # type: ignore[misc]
                lambda found: found["to_index"] >= index,
            )
            for balance in told["balances"]:
                lines = [Decimal(x["amount"]) for x in told["lines"] if x["asset"] == balance["asset"]]
                assert Decimal(balance["before"]) + sum(lines) == Decimal(balance["after"])
            assert "pnl" in {line["cause"] for line in told["lines"]}
        assert run("operate", "totals")["ok"]

        run("operate", "kill-switch", "on", "--symbol", "BTC-PERP")
        refused = run("trade", "buy", "BTC-PERP", "1", "--limit", "90", "--key", "bob", code=1)
        assert "KILL_SWITCH" in refused["answer"]
        run("operate", "kill-switch", "off", "--symbol", "BTC-PERP")
        run("trade", "buy", "BTC-PERP", "1", "--limit", "90", "--key", "bob")

        for words in (("contracts",), ("liquidations",), ("account", "margin"), ("funding", "BTC-PERP")):
            assert run.said(*words)
        assert run("trade", "buy", "BTC-USDT", "1", "--limit", "9", "--reduce-only", code=1)["ok"] is False
        said = run.fault("account", "leverage", "BTC-USDT", "5")
        assert said == "BTC-USDT is a spot instrument; contracts: BTC-PERP"
    finally:
        run.outside("down")
