"""The command line: what it offers, and how it fails."""

import errno
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from steelyard.client import ReadMode
from steelyard.ops import cli
from steelyard.ops.cluster import child_environment
from steelyard.ops.errors import GroupError
from steelyard.ops.options import Freshness
from steelyard.ops.terminal import Terminal, facts

COMMANDS = [
    ["up"],
    ["down"],
    ["status"],
    ["demo"],
    ["replay"],
    ["drill"],
    ["drill", "kill-leader"],
    ["drill", "restore"],
    ["drill", "all"],
    ["sim"],
    ["replace"],
    ["book"],
    ["balances"],
    ["trade"],
    ["trade", "buy"],
    ["trade", "otoco"],
    ["account"],
    ["account", "show"],
    ["operate"],
    ["operate", "rules"],
    ["scenario"],
    ["scenario", "crash"],
    ["explain"],
    ["explain", "order"],
    ["explain", "liquidation"],
    ["explain", "adl"],
    ["explain", "funding"],
    ["explain", "reject"],
    ["bench"],
    ["bench", "core"],
    ["bench", "e2e"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(command: list[str]) -> None:
    done = CliRunner().invoke(cli.cli, [*command, "--help"])
    assert done.exit_code == 0
    assert "Usage:" in done.output


def test_every_command_that_does_something_speaks_json() -> None:
    def leaves(command: click.Command) -> list[click.Command]:
        if isinstance(command, click.Group):
            context = click.Context(command)
            each = [command.get_command(context, name) for name in command.list_commands(context)]
            return [leaf for one in each if one is not None for leaf in leaves(one)]
        return [command]

    for command in leaves(cli.cli):
        assert "--json" in [option for parameter in command.params for option in parameter.opts], command.name


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["status", "--data", "{}"], "holds no group"),
        (["down", "--data", "{}"], "holds no group"),
        (["replay", "{}/missing.gz"], "No such file"),
    ],
)
def test_a_failure_is_one_sentence_and_one_object(
    arguments: list[str],
    words: str,
    tmp_path: object,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.argv", ["steelyard", *(each.format(tmp_path) for each in arguments), "--json"])
    monkeypatch.setattr("signal.signal", lambda *_: None)
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    out, err = capsys.readouterr()
    assert stopped.value.code == cli.EXIT_FAILED
    assert words in err
    found = json.loads(out)
    assert found["ok"] is False
    assert words in found["error"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["drill", "kill-leader", "--rounds", "0"],
        ["replay", "capture.gz", "--kill-leader-at", "nan"],
        ["replay", "capture.gz", "--kill-leader-at", "1"],
        ["bench", "e2e", "--seconds", "inf"],
        ["bench", "e2e", "--outstanding", "10", "--batch", "100"],
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_with_two(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["steelyard", *arguments])
    monkeypatch.setattr("signal.signal", lambda *_: None)
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 2


def test_json_is_one_line_on_stdout_and_words_go_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal(as_json=True)
    terminal.say("working")
    with terminal.progress("working", 3) as advance:
        advance(3)
    terminal.finish({"ok": True, "count": 1}, facts({"ok": True}))
    out, err = capsys.readouterr()
    assert out == '{"ok":true,"count":1}\n'
    assert "working" in err


def test_words_and_paths_are_shown_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    path = "/tmp/[red]/" + "long/" * 60
    terminal = Terminal(as_json=False)
    terminal.say(f"left in {path}")
    terminal.finish({}, f"stopped {path}")
    terminal.finish({"data": path})
    out, err = capsys.readouterr()
    assert f"left in {path}\n" in err
    assert f"stopped {path}\n" in out
    assert f" {path} " in out


@pytest.mark.parametrize(
    "failure",
    [
        GroupError("the group is gone"),
        OSError(errno.ENOSPC, "No space left on device"),
        BrokenPipeError(errno.EPIPE, "Broken pipe"),
        ExceptionGroup("tasks", [ExceptionGroup("tasks", [GroupError("the group is gone")])]),
    ],
    ids=lambda failure: type(failure).__name__,
)
def test_whatever_a_command_may_meet_is_one_sentence(
    failure: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(**_: object) -> None:
        raise failure

    monkeypatch.setattr("sys.argv", ["steelyard", "down"])
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr(cli.cli.commands["down"], "callback", fail)
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == cli.EXIT_FAILED
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert any(words in err for words in ("the group is gone", "No space left", "Broken pipe"))


@pytest.mark.parametrize(
    "fault",
    [
        AssertionError("ours"),
        ExceptionGroup("tasks", [GroupError("the group is gone"), AssertionError("ours")]),
    ],
    ids=lambda fault: type(fault).__name__,
)
def test_a_fault_of_ours_shows_where_it_happened_and_is_an_object_all_the_same(
    fault: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(**_: object) -> None:
        raise fault

    monkeypatch.setattr("sys.argv", ["steelyard", "down", "--json"])
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr(cli.cli.commands["down"], "callback", fail)
    with pytest.raises(type(fault)):
        cli.main()
    found = json.loads(capsys.readouterr().out)
    assert found == {"ok": False, "error": "a fault of ours: AssertionError('ours')"}


@pytest.mark.parametrize(
    ("ending", "code", "words"),
    [(KeyboardInterrupt(), 130, "interrupted"), (cli.Terminated(143), 143, "terminated")],
    ids=["Ctrl-C", "SIGTERM"],
)
def test_whoever_is_stopped_says_so_too(
    ending: BaseException,
    code: int,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def stop(**_: object) -> None:
        raise ending

    monkeypatch.setattr("sys.argv", ["steelyard", "down", "--json"])
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr(cli.cli.commands["down"], "callback", stop)
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == code
    out, err = capsys.readouterr()
    assert err.strip() == words
    assert json.loads(out) == {"ok": False, "error": words}


STEELYARD = f"exec {shlex.quote(sys.executable)} -m steelyard.ops"


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        ("down --data {} --json 2>/dev/null", 1, "holds no group"),
        ("down --data {} --json 2>&-", 1, "holds no group"),
        ("down --data {} --json <&- 2>&-", 1, "holds no group"),
        ("bench core --commands 1 --json 2>/dev/null", 2, "not in the range"),
    ],
)
def test_without_stderr_the_object_still_says_what_went_wrong(
    command: str, code: int, words: str, tmp_path: Path
) -> None:
    done = subprocess.run(
        ["sh", "-c", f"{STEELYARD} {command.format(tmp_path)}"],
        stdout=subprocess.PIPE,
        check=False,
        env=child_environment(),
        timeout=60,
    )
    assert done.returncode == code
    assert words in json.loads(done.stdout)["error"]


def test_a_reader_that_has_gone_leaves_the_words_on_stderr(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "steelyard.ops", "down", "--data", str(tmp_path), "--json"],
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        env=child_environment(),
        timeout=60,
    )
    os.close(writing)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "holds no group" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("linearizable", (ReadMode.LINEARIZABLE, 0)),
        ("stale", (ReadMode.STALE, 0)),
        ("at-least:0", (ReadMode.AT_LEAST, 0)),
        ("at-least:17", (ReadMode.AT_LEAST, 17)),
    ],
)
def test_how_fresh_an_answer_must_be_is_one_word(text: str, meant: tuple[ReadMode, int]) -> None:
    assert Freshness().convert(text, None, None) == meant


@pytest.mark.parametrize(
    "text", ["", "fresh", "STALE", "stale:1", "at-least", "at-least:", "at-least:-1", "at-least:9" + 18 * "0"]
)
def test_any_other_word_for_how_fresh_is_wrong_usage(text: str) -> None:
    with pytest.raises(click.BadParameter):
        Freshness().convert(text, None, None)
