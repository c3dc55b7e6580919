"""Tests look at the books through their reader, so that they hold for every store: SQL stands only where SQL is tested."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.books import SqliteBooks
from tests.support.bench import Bench

TESTS = Path(__file__).parent
READS = re.compile(
    r"\bSELECT\b.*\bFROM\s+(accounts|attempts|requests|ledger_entries|ai_\w+|users|user_\w+|cached_ai_responses|feedback|"
    r"output_lengths|input_factors|usage_by_\w+|meta)\b",
    re.DOTALL,
)
MAY = {
    "cli/test_amounts.py": "how an amount is stored, to the last digit",
    "cli/test_clocks.py": "rows that a clock of another day has left",
    "acceptance/test_batches_later.py": "what a row was held and posted at, to the nano-dollar",
    "acceptance/test_chat_requests.py": "what attempts of a conversation were held and posted at",
    "acceptance/test_deployments.py": "which place had an attempt, and in what order",
    "acceptance/test_page_figures.py": "sums of a whole database, beside those of its pages",
    "acceptance/test_prompt_caches.py": "hashes of prompts' heads, as they are kept",
    "acceptance/test_quote.py": "SQL is part of a prompt",
    "contract/books.py": "the reader itself",
    "contract/test_broken_stores.py": "stores that break a rule are stores",
    "crash/crowd.py": "what a process finds at the connection it has opened itself",
    "crash/test_killed_at_files.py": "what a killed process has left",
    "crash/test_jobs_killed.py": "what a killed process has left",
    "crash/test_one_process.py": "readers at connections of their own, after a rollback",
    "hostile/test_bad_rows.py": "damage is done by SQL",
    "hostile/test_security.py": "a reader that keeps text from being overwritten",
    "hostile/test_tampering.py": "damage is done by SQL",
    "store/test_check.py": "damage is done by SQL",
    "store/test_claims.py": "the plan of a statement",
    "store/test_cleaning.py": "what a writer sees inside its transaction",
    "store/test_database.py": "schemas and migrations",
    "store/test_postgres_pooled.py": "what a session behind a pool sees",
    "store/test_postgres_roles.py": "attacks by SQL",
    "store/test_postgres_migrations.py": "schemas and migrations",
    "store/test_postgres_months.py": "asks in which month's table a row lies",
    "store/test_readers.py": "what a reader sees inside its transaction",
    "store/test_seals.py": "history is rewritten by SQL",
    "store/test_watch.py": "what a transaction sees of accounts that it has opened",
    "test_books_reader.py": "this test",
}
"""Files with SQL that reads the books, each with the reason."""


def texts(tree: ast.AST) -> Iterator[str]:
    """The string constants of a module, formatted ones without their values."""
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) for part in node.values if isinstance(part, ast.Constant))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_only_tests_of_sql_read_the_books_by_sql() -> None:
    found = {
        path.relative_to(TESTS).as_posix()
        for path in TESTS.rglob("*.py")
        if any(READS.search(text) for text in texts(ast.parse(path.read_text())))
    }
    more = "read the books by tests/contract/books.py, or name the file and the reason in MAY"
    assert found - MAY.keys() == set(), more
    assert MAY.keys() - found - {"test_books_reader.py"} == set(), "these need no exception any more"


@pytest.mark.parametrize("text", ["SELECT state FROM attempts", "SELECT a,\n  b FROM ai_model_usage u JOIN x"])
def test_sql_that_reads_the_books_is_recognized(text: str) -> None:
    assert READS.search(text) and not READS.search(text.replace("SELECT", "UPDATE"))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path / "nexscout.db")
    yield bench
    bench.store.close()


def test_the_readers_questions_find_list_count_and_sum_up_rows(bench: Bench) -> None:
    books = bench.books
    assert (books.count("attempts"), books.listed("attempts", "state"), books.total("usage", "cost_usd")) == (0, [], 0)
    first, second = bench.sent(), bench.sent(bench.plan(user="bob"))
    bench.post(first)
    assert books.listed("attempts", "state") == ["posted", "sent"]
    assert books.listed("requests", "user_id", "state") == [("ada", "posted"), ("bob", "open")]
    assert books.count("attempts", state="sent") == 1 and books.count("attempts", state="sent", n=2) == 0
    assert books.total("attempts", "actual") == books.attempts()[0]["actual"] > 0  # the other has none yet
    assert books.total("attempts", "hold", id=second.id) == second.hold


@pytest.mark.parametrize("full", [False, True])
def test_the_reader_refuses_a_column_that_there_is_not_even_where_there_are_no_rows(bench: Bench, full: bool) -> None:
    if full:
        bench.post(bench.sent())
    for ask in (
        lambda: bench.books.count("cached", model="gpt-4o"),
        lambda: bench.books.listed("attempts", "stat"),
        lambda: bench.books.total("usage", "cost"),
    ):
        with pytest.raises(KeyError, match="have no"):
            ask()
    with pytest.raises(AttributeError):
        bench.books.count("attempt")


def test_the_reader_gives_json_columns_as_values_and_knows_every_kind(bench: Bench) -> None:
    bench.post(bench.sent())
    books = bench.books
    assert isinstance(books.usage()[0]["metadata"], dict) and isinstance(books.attempts()[0]["plan"], dict)
    assert books.listed("profiles", "user_id", "total_requests") == [("ada", 1)]
    assert books.profiles()[0] == books.profile("ada") and isinstance(books.profile("ada")["peak_usage_hours"], list)
    assert {row["user_id"] for row in books.lengths()} == {"*", "ada"}
    assert all(isinstance(row["state"], list) for row in books.lengths())
    assert [row["model"] for row in books.models()] == sorted(model.name for model in bench.store.catalog.models("ada"))


def test_the_reader_sees_only_what_was_committed(bench: Bench) -> None:
    bench.post(bench.sent())
    with bench.store.write("ada") as t:
        t.execute("UPDATE users SET tier = 'free'")
        assert SqliteBooks(bench.path).listed("users", "tier") == ["elite"]
    assert bench.books.listed("users", "tier") == ["free"]
