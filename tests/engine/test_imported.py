"""Readers of what other tools kept, each with records in the shape that its tool writes."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexscout_cli.engine.imported.bring import Prices, key_of
from nexscout_cli.engine.imported.mapped import mapping
from nexscout_cli.engine.imported.record import BadRow, Imported, Left, Tally, amount, count, moment, records
from nexscout_cli.engine.imported.rows import MAX_LINE, rows
from nexscout_cli.engine.imported.sources import SOURCES, Wanted, parse_of
from nexscout_cli.engine.usage import Rates
from nexscout_cli.errors import UsageError


def read(source: str, *lines: dict[str, Any] | Left, **wanted: Any) -> tuple[list[Imported], Tally]:
    """The records of rows, and what was left out."""
    tally = Tally()
    return list(records(lines, parse_of(Wanted(source, **wanted)), tally)), tally


def one(source: str, line: dict[str, Any], **wanted: Any) -> Imported:
    """The one record of a row."""
    (record,), _ = read(source, line, **wanted)
    return record


def classes(record: Imported) -> tuple[int, ...]:
    """Tokens: input, cached, written for 5 minutes, for an hour, output, thinking."""
    return (record.input, record.cached, record.cache_write, record.cache_write_1h, record.output, record.reasoning)


CLAUDE = {
    "type": "assistant",
    "timestamp": "2026-11-02T08:00:00.123Z",
    "sessionId": "s1",
    "uuid": "u1",
    "cwd": "/home/ana/shop",
    "requestId": "req_1",
    "message": {
        "id": "msg_1",
        "role": "assistant",
        "model": "claude-sonnet-4-5-20250929",
        "content": [{"type": "text", "text": "a secret answer"}],
        "usage": {
            "input_tokens": 4,
            "cache_creation_input_tokens": 300,
            "cache_read_input_tokens": 2000,
            "cache_creation": {"ephemeral_5m_input_tokens": 200, "ephemeral_1h_input_tokens": 100},
            "output_tokens": 50,
            "service_tier": "standard",
        },
    },
}


def test_a_line_of_claude_code_has_cache_reads_and_writes_beside_its_input() -> None:
    record = one("ccusage", CLAUDE)
    assert classes(record) == (4, 2000, 200, 100, 50, 0)
    assert (record.provider, record.model, record.feature) == ("anthropic", "claude-sonnet-4-5-20250929", "shop")
    assert record.key == "msg_1 req_1" and record.at == datetime(2026, 11, 2, 8, 0, 0, 123000, UTC)


@pytest.mark.parametrize(
    "line",
    [
        {"type": "user", "sessionId": "s1", "message": {"role": "user", "content": "hi"}},
        {"type": "summary", "summary": "x", "sessionId": "s1"},
        CLAUDE | {"message": CLAUDE["message"] | {"model": "<synthetic>"}},  # type: ignore[operator]
    ],
)
def test_lines_of_claude_code_that_are_no_requests_are_not_counted_and_no_fault(line: dict[str, Any]) -> None:
    found, tally = read("ccusage", line)
    assert (found, tally.other, tally.left_out) == ([], 1, 0)


def codex(*sums: tuple[int, int, int, int], last: tuple[int, int, int, int] = (0, 0, 0, 0)) -> list[dict[str, Any]]:
    """A session of Codex with these sums after each request."""
    names = ("input_tokens", "cached_input_tokens", "output_tokens", "reasoning_output_tokens")
    head = [
        {"timestamp": "2026-11-02T09:00:00Z", "type": "session_meta", "payload": {"id": "c1", "cwd": "/srv/app"}},
        {"timestamp": "2026-11-02T09:00:01Z", "type": "turn_context", "payload": {"model": "gpt-5-codex"}},
    ]
    events = [
        {
            "timestamp": f"2026-11-02T09:00:{10 + n}Z",
            "type": "event_msg",
            "payload": {
                "type": "token_count",
                "info": {
                    "total_token_usage": dict(zip(names, total, strict=True)),
                    "last_token_usage": dict(zip(names, last, strict=True)),
                },
            },
        }
        for n, total in enumerate(sums)
    ]
    return [
        *head,
        *events,
        {"timestamp": "2026-11-02T09:01:00Z", "type": "event_msg", "payload": {"type": "token_count"}},
    ]


def test_codex_counts_since_the_start_and_each_request_is_what_was_added() -> None:
    found, _ = read("ccusage", *codex((100, 0, 20, 5), (100, 0, 20, 5), (350, 80, 60, 15)))
    assert [classes(record) for record in found] == [(100, 0, 0, 0, 15, 5), (170, 80, 0, 0, 30, 10)]
    assert {record.model for record in found} == {"gpt-5-codex"} and {record.feature for record in found} == {"app"}


def test_where_codex_begins_to_count_anew_the_events_own_figures_count() -> None:
    found, _ = read("ccusage", *codex((100, 0, 20, 0), (30, 10, 5, 0), last=(30, 10, 5, 0)))
    assert [classes(record) for record in found] == [(100, 0, 0, 0, 20, 0), (20, 10, 0, 0, 5, 0)]


@given(st.lists(st.tuples(*[st.integers(0, 10**6)] * 2), min_size=1, max_size=20))
def test_requests_of_a_codex_session_add_up_to_its_last_sums(steps: list[tuple[int, int]]) -> None:
    sums, given_, made = [], 0, 0
    for more_in, more_out in steps:
        given_, made = given_ + more_in, made + more_out
        sums.append((given_, 0, made, 0))
    found, _ = read("ccusage", *codex(*sums))
    assert (sum(r.tokens_in for r in found), sum(r.tokens_out for r in found)) == (given_, made)
    assert len({record.key for record in found}) == len(found)


SPEND = {
    "request_id": "chatcmpl-9",
    "call_type": "acompletion",
    "api_key": "88dc28d0f030c55ed4ab77ed8faf098196cb1c05df778539800c9f1243fe6b4b",
    "spend": Decimal("0.000123456"),
    "total_tokens": 1250,
    "prompt_tokens": 1000,
    "completion_tokens": 250,
    "startTime": "2026-11-03T10:00:00.000Z",
    "endTime": "2026-11-03T10:00:02.000Z",
    "model": "anthropic/claude-haiku-4-5",
    "custom_llm_provider": "anthropic",
    "user": "default_user_id",
    "end_user": "ana",
    "metadata": json.dumps(
        {
            "status": "success",
            "additional_usage_values": {
                "cache_read_input_tokens": 600,
                "cache_creation_input_tokens": 100,
                "completion_tokens_details": {"reasoning_tokens": 50},
            },
        }
    ),
    "cache_hit": "False",
    "request_tags": '["checkout"]',
    "messages": '[{"role": "user", "content": "Hello"}]',
    "status": "success",
}


def test_a_spend_log_of_litellm_has_cached_and_written_tokens_within_its_prompt() -> None:
    record = one("litellm", SPEND)
    assert classes(record) == (300, 600, 100, 0, 200, 50)
    assert (record.model, record.provider, record.user, record.feature) == (
        "claude-haiku-4-5",
        "anthropic",
        "ana",
        "checkout",
    )
    assert (record.cost, record.key, record.messages) == (123456, "chatcmpl-9", None)
    assert one("litellm", SPEND, texts=True).messages == (("user", "Hello"),)


def test_a_request_that_failed_in_litellm_is_left_out_with_the_reason() -> None:
    assert read("litellm", SPEND | {"status": "failure"})[1].left == {"the request failed": 1}


def test_a_bucket_of_openai_has_cached_tokens_within_its_input_and_many_requests() -> None:
    result = {"object": "organization.usage.completions.result", "input_tokens": 5000, "output_tokens": 700}
    result |= {"input_cached_tokens": 1200, "num_model_requests": 9, "model": "gpt-4o-mini-2024-07-18", "batch": True}
    bucket = {
        "object": "bucket",
        "start_time": 1793491200,
        "end_time": 1793577600,
        "results": [result, result | {"batch": False}],
    }
    (batch, live), _ = read("openai-usage", bucket)
    assert (
        classes(live) == (3800, 1200, 0, 0, 700, 0)
        and live.requests == 9
        and live.at == datetime(2026, 11, 1, tzinfo=UTC)
    )
    assert (batch.half, live.half) == (True, False) and batch.key != live.key
    line = {name: str(value) for name, value in (result | {"start_time": 1793491200, "batch": "False"}).items()}
    assert classes(one("openai-usage", line)) == classes(live)


def test_a_bucket_of_anthropic_has_every_class_beside_the_others() -> None:
    result = {
        "uncached_input_tokens": 1500,
        "cache_creation": {"ephemeral_1h_input_tokens": 1000, "ephemeral_5m_input_tokens": 500},
        "cache_read_input_tokens": 200,
        "output_tokens": 600,
        "model": "claude-sonnet-4-20250514",
        "service_tier": "standard",
    }
    bucket = {"starting_at": "2026-11-01T00:00:00Z", "ending_at": "2026-11-02T00:00:00Z", "results": [result]}
    assert classes(one("anthropic-usage", bucket)) == (1500, 200, 500, 1000, 600, 0)
    line = {
        "usage_date_utc": "2026-11-01",
        "model_version": "claude-sonnet-4-20250514",
        "usage_type": "standard",
        "usage_input_tokens_no_cache": "1500",
        "usage_input_tokens_cache_write_5m": "500",
        "usage_input_tokens_cache_write_1h": "1000",
        "usage_input_tokens_cache_read": "200",
        "usage_output_tokens": "600",
    }
    assert classes(one("anthropic-usage", line)) == (1500, 200, 500, 1000, 600, 0)


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("openai-usage", {"start_time": 1, "amount": {"value": 1, "currency": "usd"}}),
        ("anthropic-usage", {"usage_date_utc": "2026-11-01", "cost_usd": "1.5"}),
    ],
)
def test_an_export_of_costs_is_left_for_reconcile(source: str, line: dict[str, Any]) -> None:
    (reason,) = read(source, line)[1].left
    assert "reconcile" in reason


def test_a_generation_of_openrouter_costs_what_it_says_and_what_a_key_of_ones_own_paid() -> None:
    line = {
        "generation_id": "gen-1",
        "created_at": "2026-11-04 11:00:00.500",
        "cost_total": "0.0012345",
        "byok_usage_inference": "0.5",
        "tokens_prompt": "900",
        "tokens_completion": "100",
        "tokens_reasoning": "40",
        "tokens_cached": "300",
        "model_permaslug": "openai/gpt-4o-mini",
        "provider_name": "OpenAI",
        "user": "",
        "api_key_name": "prod",
    }
    record = one("openrouter", line)
    assert classes(record) == (600, 300, 0, 0, 60, 40)
    assert record.cost == 501_234_500 and record.user == "prod" and record.provider == "openrouter"


def test_a_day_of_openrouter_has_many_requests() -> None:
    line = {"date": "2026-11-04", "model": "openai/gpt-4o", "usage": Decimal("0.5"), "requests": 7, "prompt_tokens": 10}
    record = one("openrouter", line | {"completion_tokens": 20, "reasoning_tokens": 5})
    assert classes(record) == (10, 0, 0, 0, 15, 5) and (record.requests, record.cost) == (7, 500_000_000)


def test_a_generation_of_langfuse_counts_by_class_and_other_observations_do_not() -> None:
    line = {
        "id": "o1",
        "type": "GENERATION",
        "name": "answer",
        "startTime": "2026-11-05T00:00:00Z",
        "model": "gpt-4o",
        "usageDetails": {
            "input": 70,
            "input_cached_tokens": 30,
            "output": 15,
            "output_reasoning_tokens": 5,
            "total": 120,
        },
        "costDetails": {"input": Decimal("0.0001"), "total": Decimal("0.0003")},
        "input": [
            {"role": "system", "content": "Be brief"},
            {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
        ],
    }
    record = one("langfuse", line, texts=True)
    assert classes(record) == (70, 30, 0, 0, 15, 5) and record.cost == 300_000
    assert record.messages == (("system", "Be brief"), ("user", "Hi"))
    inside = line | {
        "usageDetails": {
            "input": 100,
            "input_cached_tokens": 30,
            "output": 20,
            "output_reasoning_tokens": 5,
            "total": 120,
        }
    }
    assert classes(one("langfuse", inside)) == (70, 30, 0, 0, 15, 5)
    assert read("langfuse", line | {"type": "SPAN"})[1].other == 1


def test_a_csv_is_read_by_the_names_that_it_is_told() -> None:
    columns = mapping("time=when, model=engine,input=in,output=out,cost=usd")
    line = {"when": "2026-11-06 07:00", "engine": "gpt-4o", "in": "12", "out": "3", "usd": "$0.01"}
    record = one("csv", line, columns=columns)
    assert classes(record) == (12, 0, 0, 0, 3, 0) and record.cost == 10_000_000
    assert record.key == one("csv", dict(reversed(line.items())), columns=columns).key
    assert read("csv", {"when": "x"}, columns=columns)[1].left_out == 1
    with pytest.raises(UsageError, match="maps nothing"):
        mapping("tokens=in")


@pytest.mark.parametrize(
    ("details", "expected"),
    [
        (None, (100, 0, 0, 0, 40, 0)),
        ("not json", (100, 0, 0, 0, 40, 0)),
        ({"prompt_tokens_details": {"cached_tokens": 60}}, (40, 60, 0, 0, 40, 0)),
        ({"output_tokens_details": {"reasoning_tokens": 30}}, (100, 0, 0, 0, 10, 30)),
        ({"cache_read_input_tokens": 60, "cache_creation_input_tokens": 7}, (100, 60, 7, 0, 40, 0)),
        ({"thoughtsTokenCount": 30, "cachedContentTokenCount": 20}, (80, 20, 0, 0, 10, 30)),
    ],
    ids=["none", "broken", "OpenAI, input", "OpenAI, output", "Anthropic", "Gemini"],
)
def test_details_in_llms_log_are_each_providers_own(details: Any, expected: tuple[int, ...]) -> None:
    row = {"id": "1", "model": "m", "datetime_utc": "2026-11-01", "input_tokens": 100, "output_tokens": 40}
    text = details if details is None or isinstance(details, str) else json.dumps(details)
    assert classes(one("llm", row | {"token_details": text})) == expected


@pytest.mark.parametrize("text", ["0.1", "12.000000001", "0", "$3.5", " 7 "])
def test_amounts_are_exact(text: str) -> None:
    assert amount(text) == int(Decimal(text.strip().removeprefix("$")) * 10**9)


@pytest.mark.parametrize("value", ["-1", "a lot", "NaN", "inf", -1])
def test_what_is_no_amount_is_not_taken_for_one(value: Any) -> None:
    with pytest.raises(BadRow):
        amount(value)


@pytest.mark.parametrize("value", [-1, True, "1.5", 0.5, [], 10**16, float("nan"), "١"])
def test_what_is_no_count_is_not_taken_for_one(value: Any) -> None:
    with pytest.raises(BadRow):
        count(value)


@pytest.mark.parametrize(
    "value",
    ["2026-11-01T00:00:00Z", "2026-11-01", "2026-11-01T01:00:00+01:00", 1793491200, "1793491200", 1793491200000],
)
def test_times_are_read_in_the_shapes_that_exports_have(value: Any) -> None:
    assert moment(value) == datetime(2026, 11, 1, tzinfo=UTC)


@pytest.mark.parametrize("value", [None, "", "yesterday", True, 10**30, "0001-01-01", [], "9" * 400])
def test_what_is_no_time_is_not_taken_for_one(value: Any) -> None:
    with pytest.raises(BadRow):
        moment(value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
FIELDS = [
    *SPEND,
    *CLAUDE,
    "usageDetails",
    "results",
    "start_time",
    "payload",
    "info",
    "id",
    "created_at",
    "date",
    "time",
]


@pytest.mark.parametrize("source", SOURCES)
@given(line=st.dictionaries(st.sampled_from(FIELDS), JSON))
def test_nothing_that_a_row_may_hold_breaks_a_reader(source: str, line: dict[str, Any]) -> None:
    found, _ = read(source, line, columns=mapping(None), texts=True)
    assert all(value >= 0 for record in found for value in classes(record))


def lines(data: bytes, **how: Any) -> list[Any]:
    """The rows of a file."""
    return list(rows(io.BytesIO(data), "a file", **how))


A, B = {"a": 1}, {"b": Decimal("0.1")}


@pytest.mark.parametrize(
    "data",
    [
        b'{"a": 1}\n{"b": 0.1}\n',
        b'\xef\xbb\xbf{"a": 1}\r\n\r\n{"b": 0.1}',
        b'[{"a": 1},\n {"b": 0.1}]',
        b'{"object": "page",\n "data": [{"a": 1}, {"b": 0.1}]}',
        b'{"data": [{"a": 1}]}\n{"data": [{"b": 0.1}]}\n',
    ],
)
def test_json_is_read_as_lines_as_a_list_and_as_pages(data: bytes) -> None:
    assert lines(data) == [A, B]


def test_a_csv_may_begin_with_blank_lines_and_have_a_column_without_a_name() -> None:
    found = list(rows(io.BytesIO(b"\n\na,b,\n1,2,3\n\n4,5\n"), "x.csv"))
    assert found == [{"a": "1", "b": "2", "": "3"}, Left("a line has more or fewer cells than the header")]


def test_text_after_a_value_makes_a_line_no_json() -> None:
    found = list(rows(io.BytesIO(b'{"a": 1}\n {"b": 2} \n{"c": 3} 4\n'), "x.jsonl"))
    assert found == [{"a": 1}, {"b": 2}, Left("a line is not valid JSON")]


def test_csv_is_told_by_having_no_bracket_and_its_broken_lines_are_left_out() -> None:
    found = lines(b"a,b\n1,2\n3\n4,5,6\n")
    assert found[0] == {"a": "1", "b": "2"} and [type(row) for row in found[1:]] == [Left, Left]


def test_a_broken_line_is_left_out_and_those_around_it_count() -> None:
    assert [type(row) for row in lines(b'{"a": 1}\n{"a": \n[[[\n{"b": 0.1}\n')] == [dict, Left, Left, dict]


@pytest.mark.parametrize(
    "data", [b'[{"a": 1}, {"b"', b"[1, 2", b"{" * 9999, b"[" * 99999, b"[nonsense]", b'{"a": 1' + b" " * 70000 + b"}"]
)
def test_damaged_or_deep_files_end_and_raise_nothing(data: bytes) -> None:
    assert isinstance(lines(data), list)


def test_an_element_larger_than_a_piece_of_the_file_is_read_whole() -> None:
    big = {"text": "x" * 200_000}
    assert lines(json.dumps([big, A, big]).encode()) == [big, A, big]


def test_a_line_beyond_all_measure_is_left_out_and_not_held() -> None:
    assert [type(row) for row in lines(b'{"a": "' + b"x" * MAX_LINE + b'"}\n{"a": 1}\n')] == [Left, dict]


def test_a_binary_file_is_refused() -> None:
    with pytest.raises(UsageError, match="not a text file"):
        lines(b"SQLite format 3\0")


def test_lines_without_a_mark_are_passed_over() -> None:
    assert lines(b'{"a": 1}\n{"b": 0.1}\n', marks=(b'"b"',)) == [B]


def price(rates: Rates | None) -> Callable[[str, str], Rates | None]:
    return lambda provider, model: rates


def test_a_record_costs_its_classes_at_their_prices_rounded_up_once() -> None:
    rates = Rates(1_000_001, 2_000_000, {"cached": 100_000, "cache_write": 1_250_000, "cache_write_1h": 2_000_000})
    record = Imported(datetime.now(UTC), "m", "p", "k", 1, 10, 100, 1000, 7, 3)
    assert Prices(price(rates)).cost(record) == 1 * 1000 + 1 + 1_000 + 125_000 + 2_000_000 + 20_000
    assert Prices(price(rates)).cost(record._replace(half=True)) == -(
        -(1001 + 1_000 + 125_000 + 2_000_000 + 20_000) // 2
    )
    assert Prices(price(None)).cost(record) is None


def test_ids_of_two_sources_are_never_one() -> None:
    assert key_of("llm", "1") != key_of("csv", "1")
