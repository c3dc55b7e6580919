"""``nexscout run`` as a person meets it: first run, pipes, files, streams, questions."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.openai_server import OpenAIServer

FOLLOW_UP = ("run", "--feature", "ai_message", "Write a follow-up message to Sarah about our meeting")


def sent(server: OpenAIServer) -> str:
    return str(server.requests[-1].body["messages"][1]["content"])


@pytest.mark.slow
def test_the_first_run_of_all_sets_everything_up_and_answers_with_the_embedded_model(
    nexscout: Any, embedded: str, tmp_path: Path
) -> None:
    nexscout.env |= {"NEXSCOUT_HOME": str(tmp_path / "nothing-here-yet"), "NEXSCOUT_EMBEDDED_MODEL": embedded}
    nexscout.db = tmp_path / "nothing-here-yet" / "nexscout.db"
    assert len(nexscout(*FOLLOW_UP, "--max-tokens", "40").out.split()) > 5
    assert nexscout.books.listed("usage", "model_used", "routing_reason", "cost_usd", "energy") == [
        ("smollm2-135m", "best_available", 0, 0)
    ]
    assert oct(nexscout.db.stat().st_mode)[-3:] == "600"


@pytest.mark.slow
def test_what_the_embedded_model_answered_is_not_served_once_something_better_is_there(
    nexscout: Any, server: OpenAIServer, embedded: str
) -> None:
    nexscout.env["NEXSCOUT_EMBEDDED_MODEL"] = embedded
    first = nexscout(*FOLLOW_UP, "--json").json
    assert (first["metadata"]["model_used"], first["metadata"]["degraded"], first["metadata"]["truncated"]) == (
        "smollm2-135m",
        False,
        False,
    )
    again = nexscout(*FOLLOW_UP, "--json").json
    meta = again["metadata"]
    assert again["result"] == first["result"] and meta["from_cache"] is True
    assert (meta["tokens_used"], meta["input_tokens"], meta["output_tokens"], meta["energy_cost"]) == (0, 0, 0, 0)
    nexscout("models", "set", "gpt-4o-mini", "--api-base", server.url)
    nexscout.env["OPENAI_API_KEY"] = "x"
    better = nexscout(*FOLLOW_UP, "--json").json
    assert (better["metadata"]["from_cache"], better["metadata"]["model_used"], better["result"]) == (
        False,
        "gpt-4o-mini",
        "Hello there.",
    )
    assert nexscout(*FOLLOW_UP, "--json").json["metadata"]["from_cache"] is True


def test_the_answer_is_all_there_is_on_stdout_and_stderr_is_silent(served: Any) -> None:
    done = served("run", "Hello")
    assert (done.out, done.err) == ("Hello there.\n", "")


def test_cost_is_usage_times_price_plain_and_streamed(served: Any, server: OpenAIServer) -> None:
    server.usage = lambda body, text: {"prompt_tokens": 37, "completion_tokens": 11, "total_tokens": 48}
    nano = 37 * 150 + 11 * 600
    assert served("run", "Hello", "--no-cache", "--json").json["metadata"]["cost_usd"] == f"{nano / 1e9:.9f}"
    streamed = served("run", "Hello", "--no-cache", "--stream")
    assert (streamed.out, streamed.err) == ("Hello there.\n", "")
    assert server.requests[-1].body["stream"] is True and server.requests[-1].body["model"] == "gpt-4o-mini"
    assert (served.books.total("usage", "cost_usd"), served.books.count("usage")) == (2 * nano, 2)
    assert set(served.books.listed("accounts", "spent", kind="usd")) == {2 * nano}


def test_what_is_piped_in_comes_after_the_prompt(served: Any, server: OpenAIServer) -> None:
    diff = "diff --git a/x b/x\n-old\n+new: “ümlaut” 🎈\n"
    served("run", "Write a commit message", stdin=diff)
    assert sent(server) == f"Write a commit message\n\n{diff}"


def test_an_empty_pipe_is_ignored_and_nothing_waits_without_one(served: Any, server: OpenAIServer) -> None:
    served("run", "--no-cache", "Hello", stdin="")
    assert sent(server) == "Hello"
    served("run", "--no-cache", "Hello", stdin=" \n\n")
    assert sent(server) == "Hello"


def test_a_dash_reads_stdin_and_so_does_no_prompt_at_all(served: Any, server: OpenAIServer, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("From a file\n")
    with (tmp_path / "text").open("rb") as file:
        process = served.start("run", "-", stdin=file)
        assert process.wait(60) == 0 and sent(server) == "From a file\n"
    served("run", stdin="From a pipe")
    assert sent(server) == "From a pipe"
    assert served("run", "-", stdin="", ok=False).status == 2
    assert served("run", ok=False).status == 2


def test_an_at_sign_reads_a_file_and_two_stand_for_one(served: Any, server: OpenAIServer, tmp_path: Path) -> None:
    (tmp_path / "prompt.txt").write_text("From the file")
    served("run", "@prompt.txt")
    assert sent(server) == "From the file"
    served("run", "@prompt.txt", stdin="and the pipe")
    assert sent(server) == "From the file\n\nand the pipe"
    served("run", "@@sarah, hello")
    assert sent(server) == "@sarah, hello"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("prompt.txt", "@prompt.txt"),
        ("missing.txt", "no such file"),
        ("@missing.txt", "missing.txt"),
        ("folder/missing.md", "no such file"),
        ("README", "@README"),
    ],
)
def test_a_files_name_is_never_sent_as_a_prompt(
    served: Any, server: OpenAIServer, tmp_path: Path, name: str, says: str
) -> None:
    for file in ("prompt.txt", "README"):
        (tmp_path / file).write_text("Something")
    done = served("run", name, ok=False)
    assert done.status == 2 and says in done.err and server.hits == 0
    assert served.books.count("predictions") == 0


def test_simulate_takes_a_files_name_for_the_file(served: Any, tmp_path: Path) -> None:
    (tmp_path / "prompt.txt").write_text("word " * 300)
    assert served("simulate", "prompt.txt", "--json").json["predicted_input_tokens"] > 300
    assert served("simulate", "missing.txt", ok=False).status == 2


@pytest.mark.parametrize("text", [b"\xff\xfe broken", b"a\0b"])
def test_what_is_no_text_is_refused(served: Any, server: OpenAIServer, tmp_path: Path, text: bytes) -> None:
    (tmp_path / "file.txt").write_bytes(text)
    assert served("run", "@file.txt", ok=False).status == 2
    assert served("run", "Hello", stdin=text, ok=False).status == 2
    assert served("run", "Hello", "--attach", "file.txt", ok=False).status == 2
    assert server.hits == 0


def test_a_reader_who_goes_away_leaves_a_posted_call_and_no_noise(served: Any, server: OpenAIServer) -> None:
    server.reply = "word " * 2_000
    process = served.start("run", "Hello", "--stream", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.read(1) == b"w"
    process.stdout.close()
    assert process.wait(60) == 0
    assert process.stderr.read() == b""
    assert served.books.listed("attempts", "state") == ["posted"]
    assert served.books.total("accounts", "held") == 0
    metadata, cost, energy = served.books.listed("usage", "metadata", "cost_usd", "energy")[0]
    assert "reader_gone" in metadata["flags"] and cost > 0 and energy == 1
    assert served.books.count("cached") == 0


def test_a_closed_stdout_without_a_stream_is_a_posted_call_too(served: Any) -> None:
    process = served.start("run", "Hello", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    assert process.wait(60) == 0
    assert process.stderr.read() == b""
    assert served.books.listed("attempts", "state") == ["posted"]


def test_the_text_of_a_stream_comes_as_it_comes(served: Any, server: OpenAIServer) -> None:
    server.reply = "one two three four five six"
    assert served("run", "Hello", "--stream").out == "one two three four five six\n"


def test_a_question_needs_a_terminal_or_a_yes(served: Any, server: OpenAIServer) -> None:
    done = served("run", "--confirm", "Hello", ok=False)
    assert done.status == 2 and "--yes" in done.err and server.hits == 0
    done = served("run", "--confirm", "--yes", "Hello")
    assert done.out == "Hello there.\n" and "at most $" in done.err


def on_a_terminal(command: Any, *argv: str, answer: bytes | None = None, until: bytes = b"") -> tuple[int, str]:
    """Run it with a terminal for stdin, stdout and stderr; type ``answer`` once ``until`` is on the screen."""
    master, slave = pty.openpty()
    process = command.start(*argv, stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
    os.close(slave)
    screen, end = b"", time.monotonic() + 60
    while time.monotonic() < end:
        if not select.select([master], [], [], 0.2)[0]:
            if process.poll() is not None:
                break
            continue
        try:
            piece = os.read(master, 65536)
        except OSError:
            break
        if not piece:
            break
        screen += piece
        if answer is not None and until in screen:
            os.write(master, answer)
            answer = None
    os.close(master)
    return process.wait(30), screen.decode()


@pytest.mark.parametrize(
    ("answer", "status", "hits", "row"), [(b"n\n", 3, 0, (0, "declined")), (b"y\n", 0, 1, (1, None))]
)
def test_on_a_terminal_the_quote_is_shown_and_the_answer_is_kept(
    served: Any, server: OpenAIServer, answer: bytes, status: int, hits: int, row: tuple[int, str | None]
) -> None:
    ended, screen = on_a_terminal(served, "run", "--confirm", "Hello", answer=answer, until=b"Send it?")
    assert (ended, server.hits) == (status, hits)
    assert "gpt-4o-mini" in screen and "at most $" in screen and "energy" in screen
    assert served.books.listed("predictions", "approved", "rejected_reason") == [row]
    assert served.books.total("accounts", "held") == 0


def test_on_a_terminal_there_is_one_quiet_summary_line(served: Any, server: OpenAIServer) -> None:
    server.reply = "Hello \x1b[31mred\x1b[0m \x1b]0;title\x07[bold]there[/bold]"
    _, screen = on_a_terminal(served, "run", "Hello")
    lines = screen.replace("\r\n", "\n").strip().split("\n")
    assert lines[0] == "Hello red [bold]there[/bold]"
    assert len(lines) == 2
    assert all(part in lines[1] for part in ("gpt-4o-mini", "tokens", "$0.0000", "energy", " s"))
    _, screen = on_a_terminal(served, "run", "--quiet", "--no-cache", "Hello")
    assert len(screen.strip().split("\n")) == 1


def test_no_prompt_on_a_terminal_waits_for_nothing(served: Any, server: OpenAIServer) -> None:
    ended, screen = on_a_terminal(served, "run")
    assert ended == 2 and "nexscout run" in screen and server.hits == 0


def test_an_interrupt_in_mid_call_leaves_it_unknown_and_says_how_to_settle_it(
    served: Any, server: OpenAIServer
) -> None:
    import signal

    server.delay = 20
    process = served.start("run", "Hello", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    end = time.monotonic() + 30
    while not server.hits and time.monotonic() < end:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130 and b"db resolve" in err and b"Traceback" not in err
    assert served.books.listed("attempts", "state") == ["unknown"]
    assert set(served.books.listed("accounts", "held", kind="usd")) == set(served.books.listed("attempts", "hold"))
    assert served.books.count("attempts") == 1
    assert served.books.listed("accounts", "held", kind="energy") == [0]  # nothing was delivered
    (request_id,) = served.books.listed("requests", "request_id")
    served("db", "resolve", request_id, "--void")
    assert [served.books.total("accounts", name) for name in ("held", "spent")] == [0, 0]


@pytest.mark.parametrize(
    ("argv", "status"),
    [
        (("run", "--nonsense", "Hello"), 2),
        (("nonsense",), 2),
        (("run", "-m", "gpt-4o", "-u", "bob", "Hello"), 8),
        (("run", "--max-cost", "0", "Hello"), 3),
        (("--version",), 0),
        (("run", "--help"), 0),
    ],
)
def test_exits_are_those_that_are_published(served: Any, argv: tuple[str, ...], status: int) -> None:
    done = served(*argv, ok=False)
    assert done.status == status and "Traceback" not in done.err
    assert len(done.err.splitlines()) <= 2


def test_a_configuration_that_cannot_be_used_is_exit_6(served: Any, tmp_path: Path) -> None:
    assert served("run", "Hello", ok=False, NEXSCOUT_FIREWALL_BLOCK_TOKENS="many").status == 6
    (tmp_path / "home" / "nexscout.db").write_bytes(b"")
    done = served("run", "Hello", "--json", ok=False)
    assert done.status == 6 and done.json["error"]["code"] == "corrupt"
