"""Batches: duplicates, bad rows, CSV, budgets over the whole, attachments, and going on where one ended."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from nexscout_cli.cli.batch_file import read_lines
from nexscout_cli.errors import UsageError
from tests.support.openai_server import Body, OpenAIServer


def write(path: Path, rows: list[Any]) -> str:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return str(path)


def read(path: Path) -> list[Any]:
    return [json.loads(line, parse_float=str) for line in path.read_text().splitlines()]


def two_hundred(path: Path) -> str:
    """200 rows: 177 that are good and different, 20 that repeat some of them, 3 that are bad in different ways."""
    rows: list[Any] = [{"id": f"r{n}", "feature": "ai_message", "prompt": f"Write to customer {n}"} for n in range(177)]
    for n in range(20):
        rows.insert(n * 9, {"id": f"d{n}", "feature": "ai_message", "prompt": f"Write to customer {n * 3}"})
    rows[10:10] = [{"id": "bad1", "feature": "ai_message"}]
    rows[50:50] = ['{"id": "bad2", "prompt": "torn']
    rows[150:150] = [{"id": "bad3", "prompt": "x", "attachments": ["/etc/passwd"]}]
    return write(path, rows)


@pytest.mark.slow
def test_two_hundred_rows_with_20_doubles_and_3_bad_ones_make_177_requests_five_at_once_and_exit_7(
    six: Any, server: OpenAIServer, tmp_path: Path
) -> None:
    server.delay = 0.02
    server.reply = lambda body: f"About {body['messages'][1]['content']}"
    done = six("batch", two_hundred(tmp_path / "rows.jsonl"), "--out", str(tmp_path / "out.jsonl"), "--json", ok=False)
    assert done.status == 7
    assert server.hits == 180 - 3 and 2 <= server.max_in_flight <= 5
    lines = read(tmp_path / "out.jsonl")
    assert len(lines) == 200 and len({line["id"] for line in lines}) == 200
    failed = [line for line in lines if not line["success"]]
    assert len(failed) == 3 and all(line["error"]["code"] == "usage" and line["error"]["suggestion"] for line in failed)
    by_id = {line["id"]: line for line in lines}
    assert all(by_id[f"r{n}"]["result"] == f"About Write to customer {n}" for n in range(177))
    assert all(by_id[f"d{n}"]["result"] == f"About Write to customer {n * 3}" for n in range(20))
    assert done.json == {"rows": 200, "succeeded": 197, "failed": 3, "skipped": 0, "cost_usd": done.json["cost_usd"]}
    nano = six.books.total("usage", "cost_usd")
    assert done.json["cost_usd"] == f"{nano / 1e9:.9f}"
    assert (six.books.count("usage", outcome="posted"), six.books.count("usage", outcome="hit")) == (177, 20)
    assert six.books.total("accounts", "spent", kind="energy") == 177
    before = server.hits
    assert (
        six("batch", str(tmp_path / "rows.jsonl"), "--out", str(tmp_path / "out.jsonl"), "--resume", ok=False).status
        == 7
    )
    assert server.hits == before and len(read(tmp_path / "out.jsonl")) == 200


def test_the_ids_are_those_of_the_rows_or_their_line_numbers(six: Any, tmp_path: Path) -> None:
    file = write(tmp_path / "rows.jsonl", [{"id": 7, "prompt": "a"}, "", {"prompt": "b"}])
    done = six("batch", file)
    assert sorted(json.loads(line)["id"] for line in done.out.splitlines()) == ["3", "7"]


def test_a_csv_has_the_same_fields(six: Any, server: OpenAIServer, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("Price: 40")
    file = tmp_path / "rows.csv"
    file.write_text(
        "id,user,feature,prompt,tone,context,attachments,options\r\n"
        'a,bob,ai_message,"Hello, ""Sarah""\nsecond line",warm,'
        '"{""company"": ""TechCo""}",notes.txt,"{""max_tokens"": 33}"\r\n'
        "b,,,Short,,,,\r\n"
        'c,,,"Bad context",,"{oops",,\r\n'
    )
    done = six("batch", str(file), "--out", str(tmp_path / "out.jsonl"), ok=False)
    assert done.status == 7
    lines = {line["id"]: line for line in read(tmp_path / "out.jsonl")}
    assert {name: line["success"] for name, line in lines.items()} == {"a": True, "b": True, "c": False}
    sent = next(r.body for r in server.requests if "Sarah" in r.body["messages"][1]["content"])
    assert sent["messages"][1]["content"] == (
        'Hello, "Sarah"\nsecond line\n\nContext:\n{"company":"TechCo"}\n\n'
        '<attachment name="notes.txt">\nPrice: 40\n</attachment>'
    )
    assert sent["max_tokens"] == 33
    assert sorted(six.books.listed("usage", "user_id")) == ["ada", "bob"]


@pytest.mark.parametrize("outside", ["/etc/hostname", "../secret.txt", "link.txt", "sub/../../secret.txt"])
def test_an_attachment_outside_the_files_folder_is_refused_for_its_row_alone(
    six: Any, server: OpenAIServer, tmp_path: Path, outside: str
) -> None:
    folder = tmp_path / "jobs"
    (folder / "sub").mkdir(parents=True)
    (tmp_path / "secret.txt").write_text("TOP SECRET")
    (folder / "fine.txt").write_text("Fine")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    file = write(
        folder / "rows.jsonl",
        [
            {"id": "bad", "prompt": "Read", "attachments": [outside]},
            {"id": "good", "prompt": "Read", "attachments": ["fine.txt"]},
        ],
    )
    done = six("batch", file, "--out", str(tmp_path / "out.jsonl"), ok=False)
    lines = {line["id"]: line for line in read(tmp_path / "out.jsonl")}
    assert done.status == 7 and lines["good"]["success"] and "outside" in lines["bad"]["error"]["message"]
    assert all("SECRET" not in json.dumps(request.body) for request in server.requests) and server.hits == 1


def test_max_cost_bounds_the_whole_batch(six: Any, server: OpenAIServer, tmp_path: Path) -> None:
    server.fill = True
    file = write(
        tmp_path / "rows.jsonl",
        [
            {"id": str(n), "feature": "ai_message", "prompt": f"Hello {n}", "options": {"max_tokens": 500}}
            for n in range(30)
        ],
    )
    done = six("batch", file, "--out", str(tmp_path / "out.jsonl"), "--max-cost", "0.002", "--json", ok=False)
    assert done.status == 7 and done.json["failed"] > 0 and done.json["succeeded"] >= 5
    spent = six.books.total("usage", "cost_usd")
    assert 1_500_000 < spent <= 2_000_000
    assert {line["error"]["code"] for line in read(tmp_path / "out.jsonl") if not line["success"]} == {"max_cost"}


def test_what_was_spent_before_counts_towards_max_cost_when_a_batch_goes_on(
    six: Any, server: OpenAIServer, tmp_path: Path
) -> None:
    server.fill = True
    file = write(
        tmp_path / "rows.jsonl",
        [
            {"id": str(n), "feature": "ai_message", "prompt": f"Hello {n}", "options": {"max_tokens": 500}}
            for n in range(20)
        ],
    )
    line = ("batch", file, "--out", str(tmp_path / "out.jsonl"), "--max-cost", "0.002", "--resume")
    for _ in range(2):
        assert six(*line, ok=False).status == 7
    assert six.books.total("usage", "cost_usd") <= 2_000_000


def test_what_failed_rows_cost_counts_towards_max_cost_however_often_a_batch_goes_on(
    six: Any, server: OpenAIServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of the rows come back empty, which is paid, and half hang, which may be."""
    monkeypatch.setenv("NEXSCOUT_PROVIDERS_TIMEOUT", "0.3")
    server.reply = lambda body: "" if "0" in str(body["messages"]) else time.sleep(1) or "late"
    rows = [
        {"id": str(n), "feature": "ai_message", "prompt": f"Hello {n}", "user": "bob" if n % 3 else "ada"}
        for n in range(16)
    ]
    file = write(tmp_path / "rows.jsonl", rows)
    line = (
        "batch",
        file,
        "-m",
        "gpt-4o-mini",
        "--out",
        str(tmp_path / "out.jsonl"),
        "--max-cost",
        "0.0002",
        "--resume",
    )
    for _ in range(3):
        assert six(*line, "--concurrency", "8", ok=False).status == 7
    paid = six.books.total("usage", "cost_usd") + six.books.total("attempts", "hold", state="unknown")
    assert 100_000 < paid <= 200_000


def test_a_file_whose_every_row_fails_for_one_reason_says_it_once_before_it_ends(
    six: Any, server: OpenAIServer, tmp_path: Path
) -> None:
    server.fail = 401
    file = write(tmp_path / "rows.jsonl", [{"prompt": f"Hello {n}"} for n in range(9)])
    done = six("batch", file, "--out", str(tmp_path / "out.jsonl"), "--concurrency", "1", ok=False)
    assert done.status == 7
    assert done.err.count("every row so far fails: no model answered: gpt-4o-mini: 401") == 1
    assert "OPENAI_API_KEY" in done.err and done.err.strip().splitlines()[-1].startswith("0 answered, 9 failed")


def test_a_row_that_failed_is_asked_again_and_one_that_was_answered_is_not(
    six: Any, server: OpenAIServer, tmp_path: Path
) -> None:
    down = True

    def fail(body: Body) -> Any:
        return (401, {}, "{}") if down and "Hello 2" in body["messages"][1]["content"] else None

    server.fail = fail
    file = write(tmp_path / "rows.jsonl", [{"id": str(n), "prompt": f"Hello {n}"} for n in range(4)])
    line = ("batch", file, "--out", str(tmp_path / "out.jsonl"))
    assert six(*line, ok=False).status == 7
    down, before = False, server.hits
    six(*line, "--resume")
    assert server.hits == before + 1
    assert sorted((row["id"], row["success"]) for row in read(tmp_path / "out.jsonl")) == [
        (str(n), True) for n in range(4)
    ]
    six(*line, "--resume")
    assert server.hits == before + 1


def test_a_row_that_was_edited_is_asked_again(six: Any, server: OpenAIServer, tmp_path: Path) -> None:
    out = str(tmp_path / "out.jsonl")
    six("batch", write(tmp_path / "rows.jsonl", [{"id": "1", "prompt": "Hello"}]), "--out", out)
    six("batch", write(tmp_path / "rows.jsonl", [{"id": "1", "prompt": "Goodbye"}]), "--out", out, "--resume")
    assert [r.body["messages"][1]["content"] for r in server.requests] == ["Hello", "Goodbye"]


def test_an_answer_that_was_paid_for_and_not_written_down_is_not_paid_for_again(
    six: Any, server: OpenAIServer, tmp_path: Path
) -> None:
    out = tmp_path / "out.jsonl"
    rows: list[Any] = [{"id": str(n), "feature": "ai_deepscan", "prompt": f"Hello {n}"} for n in range(3)]
    file = write(tmp_path / "rows.jsonl", [*rows, {"id": "bad"}])
    six("batch", file, "--out", str(out), ok=False)
    whole = [line for line in out.read_text().splitlines() if '"bad"' not in line]
    out.write_text(whole[0] + "\n" + whole[1][:40])
    write(tmp_path / "rows.jsonl", rows)
    six("batch", file, "--out", str(out), "--resume")
    assert server.hits == 3 and sorted(row["id"] for row in read(out)) == ["0", "1", "2"]


def test_a_batch_that_is_begun_again_asks_again(six: Any, server: OpenAIServer, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    file = write(tmp_path / "rows.jsonl", [{"id": "0", "feature": "ai_deepscan", "prompt": "Hello"}] * 2)
    six("batch", file, "--out", str(out))
    out.unlink()
    six("batch", file, "--out", str(out))
    assert server.hits == 2 and len(read(out)) == 2


def test_rows_with_one_key_share_one_answer(six: Any, server: OpenAIServer, tmp_path: Path) -> None:
    row = {"prompt": "Hello", "options": {"idempotency_key": "mine"}}
    six("batch", write(tmp_path / "rows.jsonl", [row, row]), "--out", str(tmp_path / "out.jsonl"))
    assert server.hits == 1 and [r["success"] for r in read(tmp_path / "out.jsonl")] == [True, True]


def test_an_out_file_that_exists_is_not_written_over(six: Any, server: OpenAIServer, tmp_path: Path) -> None:
    (tmp_path / "out.jsonl").write_text("mine\n")
    file = write(tmp_path / "rows.jsonl", [{"prompt": "Hello"}])
    assert six("batch", file, "--out", str(tmp_path / "out.jsonl"), ok=False).status == 2
    assert (tmp_path / "out.jsonl").read_text() == "mine\n" and server.hits == 0


@pytest.mark.parametrize(
    ("name", "text"),
    [("rows.txt", "{}"), ("rows.jsonl", ""), ("rows.csv", "id,text\n1,x\n"), ("rows.csv", 'prompt\n"open\n')],
)
def test_a_file_that_is_no_batch_is_exit_2(
    six: Any, server: OpenAIServer, tmp_path: Path, name: str, text: str
) -> None:
    (tmp_path / name).write_text(text)
    assert six("batch", str(tmp_path / name), ok=False).status == 2
    assert server.hits == 0


def test_every_row_is_refused_for_itself_when_the_user_may_not(six: Any, server: OpenAIServer, tmp_path: Path) -> None:
    six("energy", "set", "bob", "0", "--reason", "test")
    rows = [
        {"id": "poor", "user": "bob", "prompt": "Hello"},
        {"id": "tier", "user": "cyd", "prompt": "Hello", "options": {"force_model": "gpt-4o"}},
        {"id": "fine", "prompt": "Hello"},
    ]
    six("batch", write(tmp_path / "rows.jsonl", rows), "--out", str(tmp_path / "out.jsonl"), ok=False)
    codes = {line["id"]: line["error"] and line["error"]["code"] for line in read(tmp_path / "out.jsonl")}
    assert codes == {"poor": "not_enough_energy", "tier": "not_permitted", "fine": None}


def test_from_cron_a_batch_without_failures_says_nothing(six: Any, tmp_path: Path) -> None:
    done = six("batch", write(tmp_path / "rows.jsonl", [{"prompt": "Hello"}]), "--out", str(tmp_path / "out.jsonl"))
    assert (done.out, done.err) == ("", "")


def test_options_of_the_command_line_hold_for_every_row_that_says_nothing_else(
    six: Any, server: OpenAIServer, tmp_path: Path
) -> None:
    rows = [
        {"id": "as said", "prompt": "a"},
        {"id": "own", "prompt": "b", "goal": "a sale", "tone": "cold", "options": {"max_tokens": 44, "mode": "pro"}},
    ]
    words = "--mode fast --max-tokens 33 --temperature 0.5 --system kind --policy learned --goal call --tone warm"
    done = six("batch", write(tmp_path / "rows.jsonl", rows), *words.split(), "--no-cache")
    answers = {row["id"]: row["metadata"] for row in map(json.loads, done.out.splitlines())}
    assert answers["as said"]["routing_reason"] == "manual_fast" and answers["own"]["routing_reason"] == "manual_pro"
    sent = {"a sale" in str(request.body): request.body for request in server.requests}
    assert [sent[own]["temperature"] for own in (False, True)] == [0.5, 0.5]
    assert [sent[own].get("max_tokens") or sent[own]["max_completion_tokens"] for own in (False, True)] == [33, 44]
    assert all("kind" in str(body) for body in sent.values())
    assert "call" in str(sent[False]) and "warm" in str(sent[False]) and "cold" in str(sent[True])


def test_a_policy_may_be_said_for_a_whole_batch_and_for_a_row(six: Any, tmp_path: Path) -> None:
    rows = [
        {"id": "all", "prompt": "Why is the sky blue?"},
        {"id": "own", "prompt": "Why?", "options": {"policy": "rules"}},
    ]
    done = six("batch", write(tmp_path / "rows.jsonl", rows), "--policy", "learned", "--no-cache")
    reasons = {row["id"]: row["metadata"]["routing_reason"] for row in map(json.loads, done.out.splitlines())}
    assert reasons["all"].startswith("learned_") and not reasons["own"].startswith("learned_")


def test_options_may_be_columns_of_a_csv(six: Any, server: OpenAIServer, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text(
        "id,prompt,max_tokens,temperature,force_model,allow_cache,policy,max_cost,options\n"
        'a,Hello,33,0.5,gpt-4o,no,rules,0.5,"{""system"": ""Be kind""}"\n'
        "b,Hello again,,,,,,,\n"
    )
    done = six("batch", str(file))
    answers = {row["id"]: row["metadata"] for row in map(json.loads, done.out.splitlines())}
    assert answers["a"]["model_used"] == "gpt-4o" and answers["b"]["model_used"] != "gpt-4o"
    (body,) = [r.body for r in server.requests if r.body["model"] == "gpt-4o"]
    assert body["temperature"] == 0.5 and (body.get("max_tokens") or body["max_completion_tokens"]) == 33
    assert "Be kind" in str(body)


WRONG_CELLS = {
    "max_tokens": ("many", "line 3, column max_tokens cannot be 'many'"),
    "temperature": ("9", "line 3, column temperature cannot be 9"),
    "allow_cache": ("perhaps", "line 3, column allow_cache cannot be 'perhaps'"),
    "policy": ("best", "line 3, column policy cannot be 'best'"),
    "max_cost": ("cheap", "line 3, column max_cost"),
    "keep": ("0.95", "line 3, column keep cannot be 0.95"),
    "options": ("{oops", "line 3, column options is not valid JSON"),
    "max-tokens": ("many", "line 3, column max-tokens cannot be 'many'"),
}


@pytest.mark.parametrize("column", WRONG_CELLS)
def test_a_wrong_cell_is_said_with_its_line_and_column_and_the_other_rows_run(
    six: Any, server: OpenAIServer, tmp_path: Path, column: str
) -> None:
    cell, says = WRONG_CELLS[column]
    (tmp_path / "rows.csv").write_text(f"id,prompt,{column}\na,Hello,\nb,Hello,{cell}\n")
    done = six("batch", str(tmp_path / "rows.csv"), ok=False)
    answers = {row["id"]: row for row in map(json.loads, done.out.splitlines())}
    assert done.status == 7 and answers["a"]["success"] and server.hits == 1
    assert says in answers["b"]["error"]["message"] and answers["b"]["error"]["suggestion"]


def test_a_column_that_is_not_known_is_said_once_and_nothing_is_asked(
    six: Any, server: OpenAIServer, tmp_path: Path
) -> None:
    (tmp_path / "rows.csv").write_text("id,prompt,max_tokns\na,Hello,\nb,Hello,5\n")
    done = six("batch", str(tmp_path / "rows.csv"), ok=False)
    assert (done.status, done.out, server.hits) == (2, "", 0)
    assert "has a column 'max_tokns' that is not known" in done.err and "did you mean max_tokens?" in done.err


def test_columns_may_be_named_after_flags(six: Any, server: OpenAIServer, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("id,prompt,model,max-tokens,top-p\na,Hello,gpt-4o,33,0.5\n")
    six("batch", str(tmp_path / "rows.csv"))
    body = server.requests[0].body
    assert (body["model"], body["max_tokens"], body["top_p"]) == ("gpt-4o", 33, 0.5)


def test_an_option_that_a_row_says_twice_is_refused(six: Any, server: OpenAIServer, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text('prompt,max_tokens,options\nHello,5,"{""max_tokens"": 9}"\n')
    done = six("batch", str(tmp_path / "rows.csv"), ok=False)
    assert done.status == 7 and server.hits == 0
    assert "column max_tokens and in column options" in json.loads(done.out)["error"]["message"]


def test_an_option_beside_the_options_of_a_json_line_is_told_where_it_goes(six: Any, tmp_path: Path) -> None:
    done = six("batch", write(tmp_path / "rows.jsonl", [{"prompt": "Hello", "max_tokens": 5}]), ok=False)
    error = json.loads(done.out)["error"]
    assert "there is no field 'max_tokens'" in error["message"] and '"options": {"max_tokens"' in error["suggestion"]


def test_rows_without_the_charge_are_for_admins(six: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path / "rows.jsonl", [{"prompt": "a"}, {"prompt": "b", "options": {"skip_energy_charge": True}}])
    done = six("batch", file, "--no-charge")
    assert [row["metadata"]["energy_cost"] for row in map(json.loads, done.out.splitlines())] == [0, 0]
    six("user", "set-tier", "bob", "pro")
    monkeypatch.setenv("NEXSCOUT_ACTOR", "bob")
    done = six("batch", file, ok=False)
    answers = sorted(map(json.loads, done.out.splitlines()), key=lambda row: row["id"])
    assert done.status == 7 and answers[0]["success"] and answers[1]["error"]["code"] == "not_permitted"


def test_a_csv_file_whose_first_line_is_broken_is_refused_in_a_line(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text('"id"x,prompt\n1,hi\n')
    with pytest.raises(UsageError, match="not valid CSV in line 1"):
        read_lines(file)


def test_a_csv_of_conversations_needs_no_prompts_and_names_pictures_as_a_list_or_by_data(tmp_path: Path) -> None:
    file, data = tmp_path / "rows.csv", "data:image/png;base64,AAAA"
    file.write_text('id,messages\n1,"[{""role"": ""user"", ""content"": ""Hi""}]"\n')
    assert read_lines(file) == [("1", {"id": "1", "messages": [{"role": "user", "content": "Hi"}]})]
    file.write_text(f'prompt,images\nHi,"[""{data}""]"\nHi,"{data};https://a/b.png"\n')
    assert [row["images"] for _, row in read_lines(file)] == [[data], [data, "https://a/b.png"]]
