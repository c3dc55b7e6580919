"""Token counts equal tiktoken's, quickly, and never take long."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nexscout_cli.providers.tokens import FAST_LIMIT, TokenCounter, encoding_for

ENCODINGS = ("o200k_base", "cl100k_base")


@pytest.fixture(scope="module")
def counter(tmp_path_factory: pytest.TempPathFactory) -> TokenCounter:
    return TokenCounter(tmp_path_factory.mktemp("tokens"))


@pytest.fixture(scope="module")
def reference(counter: TokenCounter) -> dict[str, Any]:
    return {name: counter._tiktoken(name) for name in ENCODINGS}


WORDS = st.sampled_from(
    [
        "Don't",
        "WE'LL",
        "it's",
        "ſ",
        "'ſ",
        " ",
        "  ",
        "\n",
        "\r\n",
        "\t",
        "\u00a0",
        "\u3000",
        "\x1c",
        "123456",
        "٣",
        "é",
        "e\u0301",
        "ÀB",
        "ǅ",
        "日本語",
        "🙂",
        "👩‍👩‍👧",
        "/",
        "//\n",
        "!!!",
        "<|endoftext|>",
        "a" * 40,
        "İ",
        "ʰ",
        "\x00",
        "\u200b",
        "½",
    ]
)


@given(st.one_of(st.text(max_size=200), st.lists(WORDS, max_size=30).map("".join)))
@settings(max_examples=600, deadline=None)
def test_counts_equal_tiktokens(counter: TokenCounter, reference: dict[str, Any], text: str) -> None:
    for name in ENCODINGS:
        assert counter.count(text, name) == len(reference[name].encode_ordinary(text))


def test_every_kind_of_character_is_split_as_tiktoken_splits_it(
    counter: TokenCounter, reference: dict[str, Any]
) -> None:
    for code in [*range(0x3100), *range(0xA000, 0xD800, 7), *range(0xE000, 0x110000, 401)]:
        c = chr(code)
        text = f"A{c}b {c}{c} 1{c}'{c} x'{c}.{c}/\n{c}\n a{c}B"
        for name in ENCODINGS:
            assert counter.count(text, name) == len(reference[name].encode_ordinary(text)), hex(code)


def test_special_tokens_are_ordinary_text(counter: TokenCounter) -> None:
    assert counter.count("<|endoftext|>") > 3
    assert counter.count("<|endoftext|>" + "x " * FAST_LIMIT) > 3


def test_lone_surrogates_are_counted(counter: TokenCounter, reference: dict[str, Any]) -> None:
    assert counter.count("a \ud800 b") == len(reference["o200k_base"].encode_ordinary("a \ufffd b"))


def test_the_empty_text_has_no_tokens(counter: TokenCounter) -> None:
    assert counter.count("") == 0


def test_a_long_text_with_spaces_is_exact(counter: TokenCounter, reference: dict[str, Any]) -> None:
    text = "The quick brown fox, aged 7, doesn't jump; it naps.\n\n" * 6000
    assert counter.count(text) == len(reference["o200k_base"].encode_ordinary(text))


@pytest.mark.parametrize("char", ["a", "A", " ", "\t", "\n", "!", "_", "é", "日", "1", "\u0301", " \n"])
@pytest.mark.parametrize("size", [FAST_LIMIT, 100_000, 1_000_000])
def test_a_long_run_takes_bounded_time_and_is_not_counted_low(
    counter: TokenCounter, reference: dict[str, Any], char: str, size: int
) -> None:
    start = time.process_time()
    counted = counter.count(char * size)
    assert time.process_time() - start < 5
    if size <= 100_000:
        assert counted >= len(reference["o200k_base"].encode_ordinary(char * size))


def test_the_table_is_written_once_and_read_by_the_next_process(tmp_path: Path) -> None:
    assert TokenCounter(tmp_path).count("hello world") == 2
    (table,) = tmp_path.iterdir()
    assert table.stat().st_mode & 0o077 == 0
    program = (
        "import sys, pathlib\nfrom nexscout_cli.providers.tokens import TokenCounter\n"
        f"assert TokenCounter(pathlib.Path({str(tmp_path)!r})).count('hello world') == 2\n"
        "assert not {'tiktoken', 'regex', 'litellm'} & set(sys.modules)\n"
    )
    before = table.stat().st_mtime_ns
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
    assert table.stat().st_mtime_ns == before


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 5000])
def test_a_damaged_table_is_written_anew(tmp_path: Path, content: bytes) -> None:
    TokenCounter(tmp_path).count("x")
    (table,) = tmp_path.iterdir()
    size = table.stat().st_size
    table.write_bytes(content)
    assert TokenCounter(tmp_path).count("hello world") == 2
    assert table.stat().st_size == size


def test_without_a_place_for_the_table_the_count_is_the_same(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert TokenCounter(tmp_path / "file" / "below").count("hello world") == 2


def test_the_environment_is_left_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TIKTOKEN_CACHE_DIR", raising=False)
    TokenCounter(tmp_path).count("x")
    assert "TIKTOKEN_CACHE_DIR" not in os.environ


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("openai/gpt-4o-mini", ("o200k_base", True)),
        ("gpt-4.1", ("o200k_base", True)),
        ("openai/gpt-5.4-nano", ("o200k_base", True)),
        ("openai/o3", ("o200k_base", True)),
        ("o4-mini", ("o200k_base", True)),
        ("chatgpt-4o-latest", ("o200k_base", True)),
        ("gpt-4", ("cl100k_base", True)),
        ("openai/gpt-4-turbo", ("cl100k_base", True)),
        ("gpt-3.5-turbo", ("cl100k_base", True)),
        ("ft:gpt-3.5-turbo", ("cl100k_base", True)),
        ("anthropic/claude-haiku-4-5", ("o200k_base", False)),
        ("gemini/gemini-2.5-flash", ("o200k_base", False)),
        ("openrouter/openai/gpt-4o", ("o200k_base", False)),
        ("openai/olmo-2", ("o200k_base", False)),
        ("embedded/smollm2-135m", ("o200k_base", False)),
    ],
)
def test_the_encoding_is_the_providers_where_it_is_known(model: str, expected: tuple[str, bool]) -> None:
    assert encoding_for(model) == expected
