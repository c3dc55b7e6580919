"""Every function that reads a text of a user, a model or a provider, by name, for the harness that measures how time grows."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from nexscout_cli.cli import diff, output
from nexscout_cli.engine.answers import arithmetic, doubt, json_text
from nexscout_cli.engine.cache import canonical, key, rewordings, slips
from nexscout_cli.engine.catalog import endpoints
from nexscout_cli.engine.compression import (
    blocks,
    code,
    code_parts,
    code_phrases,
    code_relevance,
    code_words,
    commits,
    difference,
    diffs,
    entries,
    extract,
    form,
    head_hashes,
    html_text,
    json_tables,
    log_lines,
    logs,
    lossless,
    mail,
    markdown,
    program_output,
    prompt_parts,
    relevance,
    sentences,
    sql_dump,
    structure,
    tables,
    whitespace,
)
from nexscout_cli.engine.learning import observation
from nexscout_cli.engine.length import derivation, features, model, told
from nexscout_cli.engine.model import is_version
from nexscout_cli.engine.request import AIRequest
from nexscout_cli.engine.routing import difficulty, emotion, emotion_words, feelings, prompt_traits
from nexscout_cli.errors import NexScoutError
from nexscout_cli.providers import failing, tokens
from nexscout_cli.providers.wires.sse import EventStream

_FILL = "What is it?\n\n" + "a b. " * 400 + "\n\n"  # makes a prompt long enough to be taken apart
_DIFF = "diff --git a/x b/x\n--- a/x\n+++ b/x\n" + "@@ -1 +1 @@\n-a\n+b\n" * 3
_CODE = "import os\n\n\n" + "\n\n\n".join(f"def f_{n}(a):\n" + "    a1 = x(a)  # 1\n" * 9 for n in range(9)) + "\n"
Reads = Callable[[str], Any]


class TextFunction(NamedTuple):
    """``reads``: a call with the text; ``module``: where the patterns are that it drives."""

    reads: Reads
    module: str


def _request(text: str) -> AIRequest:
    return AIRequest("ann", "ai_message", text)


def _refusing(function: Callable[[str], object]) -> Reads:
    """A function that says what is wrong with a text by an error."""

    def reads(text: str) -> None:
        with contextlib.suppress(NexScoutError):
            function(text)

    return reads


def _extracted(text: str) -> None:
    parts = prompt_parts.split(_FILL + text)
    extract.extract(text, prompt_parts.question(parts) + " a 1 x", 0.3, prompt_parts.INSTRUCTS)


def _events(text: str) -> None:
    stream, data = EventStream(), text.encode()
    for at in range(0, len(data), 7):
        stream.feed(data[at : at + 7])
    stream.feed(b"\n\n")


def functions(cache_dir: Path) -> dict[str, TextFunction]:
    """All of them. ``cache_dir`` is where the tokenizer keeps its tables."""
    counter = tokens.TokenCounter(cache_dir)
    of = TextFunction
    words = {"the": 10**9, "what": 10**9, "a": 10**9}
    asked = "How many of (A) are left? Give valid json.\nA. 1\nB. 2\n"
    return {
        "compress": of(lossless.compress, lossless.__name__),
        "compress a list": of(lambda text: lossless.compress(f"[1,  2]\n\n{text}"), lossless.__name__),
        "asks about form": of(form.asks_about_form, form.__name__),
        "unified diff": of(lambda text: diffs.shorten(_DIFF + text, "a 1 x", 0.3), diffs.__name__),
        "log": of(lambda text: logs.shorten(text, "a 1 x", 0.3), logs.__name__),
        "history": of(
            lambda text: commits.shorten(
                commits.commits_of(f"commit {0:07}\n\n    {text}\n{text}\n" * 4),
                "a 1 x",
                len(text),
                lambda *_: "",
                lambda one, _: one,
            ),
            commits.__name__,
        ),
        "traces": of(
            lambda text: logs.shorten(f"goroutine 1 [x]:\n{text}\npanic: x\n{text}\n___ a ___\n{text}", "a 1 x", 0.3),
            program_output.__name__,
        ),
        "dump": of(
            lambda text: sql_dump.shorten(f"INSERT INTO a VALUES {text}\n" * 5, "a 1 x", 0.3), sql_dump.__name__
        ),
        "code": of(lambda text: code.shorten(text, "a 1 x", 0.3), code.__name__),
        "code parts": of(lambda text: code_parts.parts_of(text, text.split("\n")), code_parts.__name__),
        "entries": of(lambda text: entries.shorten(text, "What about the ship?", 0.3), entries.__name__),
        "code phrases": of(code_phrases.in_words_of_programs, code_phrases.__name__),
        "code words": of(code_words.pieces, code_words.__name__),
        "code relevance": of(
            lambda text: code_relevance.bearing(
                code_parts.parts_of("", [*_CODE.split("\n"), *text.split("\n")]),
                [*_CODE.split("\n"), *text.split("\n")],
                text,
            ),
            code_relevance.__name__,
        ),
        "a log's line": of(log_lines.read, log_lines.__name__),
        "a log's JSON": of(
            lambda text: log_lines.read(json.dumps({"msg": text, "ts": text, "level": text})), log_lines.__name__
        ),
        "a log's fields": of(lambda text: log_lines.read(f'msg="{text}" {text}={text}'), log_lines.__name__),
        "code's question": of(lambda text: code.shorten(_CODE, text, 0.3), code.__name__),
        "table": of(lambda text: tables.shorten(text, "least a 1 x", 0.3), tables.__name__),
        "records": of(lambda text: tables.shorten("[" + text, "least a 1 x", 0.3), tables.__name__),
        "mail": of(lambda text: mail.shorten(text, "a 1 x", 0.3), mail.__name__),
        "page": of(lambda text: html_text.shorten(text, "a 1 x", 0.3), html_text.__name__),
        "markdown": of(lambda text: markdown.shorten("# a\n\n# b\n\n" + text, "a 1 x", 0.3), markdown.__name__),
        "kind of text": of(structure.kind_of, structure.__name__),
        "blocks": of(blocks.blocks, blocks.__name__),
        "sentences": of(sentences.lines, sentences.__name__),
        "extract": of(_extracted, extract.__name__),
        "words": of(relevance.words, relevance.__name__),
        "prompt parts": of(lambda text: prompt_parts.question(prompt_parts.split(_FILL + text)), prompt_parts.__name__),
        "tabled": of(json_tables.tabled, json_tables.__name__),
        "head hashes": of(lambda text: head_hashes.head_hashes(_request(text), (text,)), head_hashes.__name__),
        "settled": of(whitespace.settled, whitespace.__name__),
        "settled after a request": of(lambda text: whitespace.settled("Correct this:  \n" + text), whitespace.__name__),
        "normalized": of(key.normalized, key.__name__),
        "fingerprint": of(lambda text: key.fingerprint(_request(text)), key.__name__),
        "slips": of(lambda text: slips.mended(text.split(" "), words, lambda *_: True), slips.__name__),
        "rewordings": of(lambda text: rewordings.in_one_order(text), rewordings.__name__),
        "canonical question": of(
            lambda text: canonical.canonical_question(text, words, lambda *_: True), canonical.__name__
        ),
        "emotion": of(emotion.emotional_complexity, emotion.__name__),
        "feelings": of(
            lambda text: [feelings.read(text, tongue) for tongue in ("de", "es", "zh", "hi", "ar")], feelings.__name__
        ),
        "emotion_words": of(emotion_words.odds, emotion_words.__name__),
        "told": of(lambda text: [feelings.told(text, tongue) for tongue in ("en", "de", "ar")], feelings.__name__),
        "difficulty": of(difficulty.difficulty, difficulty.__name__),
        "options": of(prompt_traits.options, prompt_traits.__name__),
        "traits": of(prompt_traits.take_apart, prompt_traits.__name__),
        "features": of(lambda text: features.features(text, 100, text[:200]), features.__name__),
        "kind of prompt": of(features.kind, features.__name__),
        "named length": of(lambda text: told.told(text, True), told.__name__),
        "shown length": of(lambda text: told.told(f"Answer: a\n{text}\nAnswer:", False), told.__name__),
        "traits of a derivation": of(derivation.traits, derivation.__name__),
        "shipped length": of(lambda text: model.shipped(text, 100, "ai_message", "", text[:200], 100), model.__name__),
        "observe": of(
            lambda text: (observation.observe(text).style, observation.observe(text).phrases), observation.__name__
        ),
        "plain": of(arithmetic.plain, arithmetic.__name__),
        "sums": of(arithmetic.sums, arithmetic.__name__),
        "sums of a line": of(lambda text: arithmetic.sums(text.replace("\n", " ") + " = 1"), arithmetic.__name__),
        "evaluate": of(arithmetic.evaluate, arithmetic.__name__),
        "doubt of an answer": of(lambda text: doubt.doubt(asked, text, "stop"), doubt.__name__),
        "doubt after a prompt": of(lambda text: doubt.doubt(text, "It is 1.", "stop"), doubt.__name__),
        "JSON of an answer": of(lambda text: json_text.find(text), json_text.__name__),
        "agree": of(lambda text: doubt.agree(asked, text, "(A) " + text), doubt.__name__),
        "agree after a prompt": of(lambda text: doubt.agree(text, "It is 1.", "It is 2."), doubt.__name__),
        "o200k": of(lambda text: counter.count(text, "o200k_base"), tokens.__name__),
        "cl100k": of(lambda text: counter.count(text, "cl100k_base"), tokens.__name__),
        "is_version": of(lambda text: is_version("gpt-4o" + text, "gpt-4o"), "nexscout_cli.engine.model"),
        "check name": of(_refusing(endpoints.check_name), endpoints.__name__),
        "check target": of(_refusing(endpoints.check_target), endpoints.__name__),
        "check base": of(_refusing(endpoints.check_base), endpoints.__name__),
        "check variable": of(_refusing(endpoints.check_variable), endpoints.__name__),
        "error text": of(lambda text: failing.error_text(text.encode()), failing.__name__),
        "error in JSON": of(lambda text: failing.error_text(json.dumps({"error": text}).encode()), failing.__name__),
        "error by status": of(lambda text: failing.by_status(400, text, text.encode()), failing.__name__),
        "events": of(_events, "nexscout_cli.providers.wires.sse"),
        "harmless": of(output.harmless, output.__name__),
        "diff": of(lambda text: diff.lines(text, text[: len(text) // 2]), difference.__name__),
    }
