"""The command line: what it offers, and how it fails."""

import errno
import json

import click
import pytest
from click.testing import CliRunner

from steelyard.client import ReadMode
from steelyard.ops import cli
from steelyard.ops.errors import GroupError
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
    assert "the group is gone" in err or "No space left" in err


def test_a_fault_of_ours_shows_where_it_happened(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: object) -> None:
        raise ExceptionGroup("tasks", [GroupError("the group is gone"), AssertionError("ours")])

    monkeypatch.setattr("sys.argv", ["steelyard", "down"])
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr(cli.cli.commands["down"], "callback", fail)
    with pytest.raises(ExceptionGroup):
        cli.main()


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
    assert cli.Freshness().convert(text, None, None) == meant


@pytest.mark.parametrize(
    "text", ["", "fresh", "STALE", "stale:1", "at-least", "at-least:", "at-least:-1", "at-least:9" + 18 * "0"]
)
def test_any_other_word_for_how_fresh_is_wrong_usage(text: str) -> None:
    with pytest.raises(click.BadParameter):
        cli.Freshness().convert(text, None, None)
