from __future__ import annotations

import json
from typing import Any

import pytest

from nexscout_cli.config import Settings
from nexscout_cli.engine.compression.choice import compress_texts
from nexscout_cli.engine.compression.extract import CUT
from nexscout_cli.engine.compression.head_hashes import PREFIX_TOKENS, head_hashes
from nexscout_cli.engine.compression.json_tables import tabled
from nexscout_cli.engine.compression.lossless import compress
from nexscout_cli.engine.compression.prompt_parts import INSTRUCTS, question, split
from nexscout_cli.engine.plan_types import Compression
from nexscout_cli.engine.planning.planner import Planner
from nexscout_cli.engine.planning.texts import originals
from nexscout_cli.engine.request import AIRequest, Attachment
from nexscout_cli.engine.snapshot import Profile
from nexscout_cli.engine.validate import check_request
from nexscout_cli.errors import UsageError
from tests.support.values import count, request, snapshot

TOWNS = [
    f"The town of {name} lies by the river. Its mayor is {mayor}. It has {n} mills. The fair is held in autumn."
    for n, (name, mayor) in enumerate(
        [
            (f"{first}{second}", f"{mayor} Rhys")
            for first in ("Lind", "Oak", "Stone", "Fair")
            for second in ("mouth", "ham", "field")
            for mayor in ("Tom", "Ada")
        ],
        start=3,
    )
]
LONG = "\n\n".join([*TOWNS, '{"towns":   24}'])
QUESTION = "How many mills has Stoneham?"
RECORDS = [{"id": n, "name": f"n{n}", "price": n * 1.5, "ok": n % 2 == 0, "note": None} for n in range(30)]


def squeezed(asked: AIRequest, **world: Any) -> tuple[tuple[str, ...], Compression]:
    values = world.pop("values", {})
    return compress_texts(asked, originals(asked), snapshot(**world), Settings().with_values(**values), count)


def extracting(**fields: Any) -> AIRequest:
    return request(fields.pop("prompt", QUESTION), compress="extract", **fields)


@pytest.mark.parametrize("where", ["context", "attachment", "prompt before", "prompt after"])
def test_the_sentences_beside_the_point_go_wherever_the_long_text_stands(where: str) -> None:
    asked = {
        "context": extracting(context=LONG),
        "attachment": extracting(attachments=(Attachment("towns.md", LONG),)),
        "prompt before": extracting(prompt=f"{QUESTION}\n\n{LONG}"),
        "prompt after": extracting(prompt=f"{LONG}\n\n{QUESTION}"),
    }[where]
    texts, done = squeezed(asked)
    sent = "\n".join(texts)
    assert QUESTION in sent and "Stoneham" in sent and CUT in sent
    assert done.mode == "extract" and done.applied
    assert done.tokens_after <= 0.53 * done.tokens_before
    assert sum(tokens for _, tokens in done.saved_by) == done.tokens_before - done.tokens_after


def test_keep_says_how_much_stays() -> None:
    sizes = [squeezed(extracting(context=LONG, keep=keep))[1].tokens_after for keep in (0.2, 0.4, 0.6, 0.8)]
    assert sizes == sorted(sizes) and sizes[0] < 0.25 * count(LONG, "")[0]


@pytest.mark.parametrize(
    "asked",
    [
        extracting(context={"towns": LONG}),
        extracting(attachments=(Attachment("towns.csv", LONG),)),
        extracting(attachments=(Attachment("src/towns.py", LONG),)),
        extracting(prompt="\n\n".join(TOWNS)),
    ],
)
def test_data_code_and_a_text_without_a_question_are_not_extracted(asked: AIRequest) -> None:
    assert CUT not in "".join(squeezed(asked)[0])


def test_what_a_prompt_tells_the_model_to_do_always_stays() -> None:
    rules = ["You must not name the mayor.", "Write at most 40 words.", "Use {format} for it.", "Never invent a mill."]
    text = "\n\n".join(town + (f" {rules[n // 6]}" if n % 6 == 5 else "") for n, town in enumerate(TOWNS))
    (sent, *_), done = squeezed(extracting(prompt=f"{QUESTION}\n\n{text}", keep=0.2))
    assert done.mode == "extract"
    for rule in rules:
        assert rule in sent and INSTRUCTS.search(rule)


def test_a_prompt_that_is_all_instructions_is_no_text_to_be_read() -> None:
    prompt = "Act as a guide.\n\n" + "\n\n".join(f"Step {n}. Walk to the mill and look at wheel {n}." for n in range(9))
    assert split(prompt).text == ""
    parts = split(f"{QUESTION}\n\n{LONG}\n\nThank you")
    assert "".join(parts[:3]) == f"{QUESTION}\n\n{LONG}\n\nThank you" and parts.text == LONG


def test_a_last_paragraph_that_asks_nothing_is_kept_and_not_taken_for_the_question() -> None:
    prompt = f"{QUESTION}\n\n{LONG}\n\nThe mayor of Oakham likes the fair."
    assert question(split(prompt)).strip() == QUESTION
    (sent, *_), done = squeezed(extracting(prompt=prompt, keep=0.2))
    assert done.mode == "extract" and sent.endswith("The mayor of Oakham likes the fair.") and "Stoneham" in sent
    assert question(split(f"{LONG}\n\n{QUESTION}")).strip() == QUESTION


@pytest.mark.parametrize(
    ("changes", "world", "mode"),
    [
        ({}, {}, "lossless"),
        ({"compress": "off"}, {}, "off"),
        ({"compress": "lossless"}, {}, "lossless"),
        ({"compress": "extract"}, {}, "extract"),
        ({}, {"energy": 10}, "extract"),
        ({}, {"values": {"firewall__block_tokens": 400}}, "extract"),
        ({}, {"values": {"firewall__block_tokens": 300}}, "lossless"),
        ({}, {"energy": 10, "values": {"routing__quality_target": 0.99}}, "lossless"),
        ({"keep": 0.2}, {"energy": 10}, "lossless"),
        ({}, {"values": {"compression__min_tokens": 5_000}}, "off"),
        ({"compress": "lossless"}, {"values": {"compress": "off", "compression__min_tokens": 5_000}}, "lossless"),
        ({}, {"values": {"compress": "extract", "compression__min_tokens": 5_000}}, "extract"),
    ],
)
def test_auto_goes_by_size_energy_and_quality_target_and_the_call_has_the_last_word(
    changes: dict[str, Any], world: dict[str, Any], mode: str
) -> None:
    world = {"values": {"compression__min_tokens": 400}} | world
    world["values"] = {"compression__min_tokens": 400} | world["values"]
    assert squeezed(request(QUESTION, context=LONG, **changes), **world)[1].mode == mode


def test_the_plan_sends_what_was_squeezed_and_says_so() -> None:
    plan = Planner(Settings(), count).plan(extracting(context=LONG), snapshot())
    assert CUT in plan.messages[1].content and plan.messages[1].content.startswith(f"{QUESTION}\n\nContext:\n")
    shown = plan.as_json()["compression"]
    assert shown["mode"] == "extract" and set(shown["saved_by"]) == {"json", "extract"} == set(shown["steps"])
    assert plan.forecast.input_tokens < count(LONG, "")[0]


HEAD = "Read this guide to the valley.\n\n[1,  2]\n\n" + "\n\n".join(
    f"Chapter {n}. {town}" for n, town in enumerate(TOWNS * 3)
)


def known(asked: AIRequest) -> Profile:
    return Profile(prompt_heads=("0" * 24, head_hashes(asked, originals(asked))))


@pytest.mark.parametrize("mode", ["auto", "lossless", "extract"])
def test_a_head_that_recurs_is_sent_as_it_was_and_only_the_rest_counts(mode: str) -> None:
    earlier = request(f"{HEAD}\n\nWho is mayor of Oakham?")
    asked = request(f"{HEAD}\n\n{QUESTION}", context=LONG, compress=mode)
    texts, done = squeezed(asked, profile=known(earlier))
    same = len(HEAD) - len(HEAD) % 1024
    assert texts[0][: same - 200] == asked.prompt[: same - 200]
    assert texts[1] != LONG and done.left_alone >= PREFIX_TOKENS
    assert done.tokens_before - done.tokens_after == sum(count(t, "")[0] for t in originals(asked)) - sum(
        count(t, "")[0] for t in texts
    )
    assert squeezed(asked)[0][0] != asked.prompt  # without that past the head is squeezed too


def test_a_head_below_1024_tokens_is_billed_in_full_and_squeezed() -> None:
    short = HEAD[:3_000]
    earlier, asked = request(f"{short}\n\nOne?"), request(f"{short}\n\n{LONG}\n\nTwo?", compress="lossless")
    assert squeezed(asked, profile=known(earlier))[1].left_alone == 0
    system = "You know the valley well. " * 100
    with_system = [one._replace(options=one.options._replace(system=system)) for one in (earlier, asked)]
    assert squeezed(with_system[1], profile=known(with_system[0]))[1].left_alone > 0


def test_where_everything_recurs_nothing_is_done() -> None:
    asked = request(HEAD + " " * (-len(HEAD) % 1024), compress="lossless")
    texts, done = squeezed(asked, profile=known(asked))
    assert texts == originals(asked) and not done.applied and done.left_alone == done.tokens_before


def test_another_system_text_is_another_head() -> None:
    one, other = request(HEAD), request(HEAD, system="Be brief.")
    assert head_hashes(one, originals(one))[:12] != head_hashes(other, originals(other))[:12]
    assert head_hashes(request("short"), ("short",)) == ""


@pytest.mark.parametrize(
    "options", [{"compress": "zip"}, {"keep": 0.05}, {"keep": 1.0}, {"keep": True}, {"keep": "half"}]
)
def test_a_way_of_compressing_that_there_is_not_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        check_request(request("Hello", **options), Settings())


def test_a_list_of_records_becomes_a_table_with_equal_values() -> None:
    text = json.dumps(RECORDS, indent=2)
    short, saved = compress(text)
    table = json.loads(short)
    assert [dict(zip(table["columns"], row, strict=True)) for row in table["rows"]] == RECORDS
    assert saved == {"json": len(text) - len(short)} and len(short) < 0.5 * len(text)
    assert compress(short) == (short, {})


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(RECORDS[:2], indent=2),
        json.dumps([{"a": 1}, {"a": 2}, {"b": 3}]),
        json.dumps([{"a": [1]}, {"a": [2]}, {"a": [3]}]),
        json.dumps([{"a": {"b": 1}}] * 3),
        '[{"a": 1, "a": 2}, {"a": 1, "a": 2}, {"a": 1, "a": 2}]',
        "[{}, {}, {}]",
        "[1, 2, 3]",
        "not json",
    ],
)
def test_what_is_no_list_of_flat_records_of_the_same_names_becomes_no_table(text: str) -> None:
    assert tabled(text) is None


def test_a_table_keeps_numbers_as_they_were_written() -> None:
    text = '[{"n": 1.10, "s": "\\ud800"}, {"n": 1e400, "s": "é"}, {"n": -0, "s": "a\\nb"}]'
    assert tabled(text) == '{"columns":["n","s"],"rows":[[1.10,"\\ud800"],[1e400,"é"],[-0,"a\\nb"]]}'


@pytest.mark.parametrize(
    "said", ["Return the same JSON sorted by price.", "Which fields are missing?", "Fix the format."]
)
def test_where_the_layout_is_the_matter_records_stay_records(said: str) -> None:
    text = json.dumps(RECORDS, indent=2)
    assert json.loads(compress(f"{said}\n\n{text}")[0].split("\n\n", 1)[1]) == RECORDS
    texts, _ = squeezed(request(said, compress="lossless", context=RECORDS))
    assert json.loads(texts[1]) == RECORDS


@pytest.mark.parametrize(
    ("options", "tried"),
    [({}, False), ({"compress": "lossless"}, False), ({"compress": "extract"}, False),
     ({"compress": "extract", "keep": 0.01}, True)],
)  # fmt: skip
def test_a_text_that_no_compression_makes_small_enough_is_counted_and_not_worked_on(
    options: dict[str, Any], tried: bool
) -> None:
    most = count(LONG, "")[0] // 20
    asked = request(QUESTION, context=LONG + "\n", **options)
    texts, done = squeezed(asked, values={"firewall.block_tokens": most})
    assert done.applied == tried
    assert (texts == originals(asked)) == (not tried)
    assert done.tokens_before > 10 * most
