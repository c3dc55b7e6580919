from __future__ import annotations

import json

import pytest

KEYS = ["user_id", "tier", "granted", "held", "spent", "balance", "daily_tokens_used", "daily_token_budget"]


def shown(nexscout, *argv):
    return json.loads(nexscout("energy", "show", "--json", *argv).stdout)


def test_show_has_exactly_the_agreed_fields(nexscout):
    facts = shown(nexscout)
    assert list(facts) == KEYS
    assert facts == dict(zip(KEYS, ["owner", "elite", 5000, 0, 0, 5000, 0, 1_000_000], strict=True))


def test_a_grant_that_is_due_counts_and_reading_writes_nothing(nexscout, home):
    nexscout("mode")
    before = (home / "nexscout.db").read_bytes()
    assert shown(nexscout, "--user", "someone-new")["balance"] == 100
    nexscout("energy", "history")
    assert (home / "nexscout.db").read_bytes() == before


def test_a_grant_is_on_top_of_the_months(nexscout):
    assert nexscout("energy", "grant", "bob", 500, "--reason", "top-up") == (0, "", "")
    assert shown(nexscout, "--user", "bob")["granted"] == 600
    entries = json.loads(nexscout("energy", "history", "--user", "bob", "--json").stdout)["rows"]
    first = entries[0]
    assert (first["kind"], first["amount"], first["reason"], first["actor"]) == ("grant", 500, "top-up", "owner")
    assert entries[1]["reason"].startswith("month") and entries[1]["request_id"] is None


@pytest.mark.parametrize("target", [0, 7, 100, 100_000])
def test_set_writes_the_entry_that_makes_the_balance(nexscout, target):
    assert (
        json.loads(nexscout("energy", "set", "bob", target, "--reason", "moved", "--json").stdout)["balance"] == target
    )
    assert shown(nexscout, "--user", "bob")["balance"] == target
    entries = json.loads(nexscout("energy", "history", "--user", "bob", "--json").stdout)["rows"]
    assert sum(e["amount"] for e in entries) == target
    assert [e["amount"] for e in entries if e["kind"] == "adjust"] == ([target - 100] if target != 100 else [])


@pytest.mark.parametrize("amount", ["0", "1.5", "many", "1e3", str(10**12 + 1), "١٢"])
def test_a_grant_is_a_whole_number_in_range(nexscout, amount):
    assert nexscout("energy", "grant", "bob", amount).exit == 2


def test_a_correction_needs_a_reason_and_no_negative_balance(nexscout):
    ran = nexscout("energy", "set", "bob", 5)
    assert ran.exit == 2 and "--reason" in ran.stderr
    assert nexscout("energy", "set", "bob", "--reason", "x", "--", "-5").exit == 2


def test_history_is_limited_and_readable(nexscout):
    for amount in (1, 2, 3):
        nexscout("energy", "grant", "bob", amount)
    rows = json.loads(nexscout("energy", "history", "--user", "bob", "--limit", 2, "--json").stdout)["rows"]
    assert [row["amount"] for row in rows] == [3, 2]
    assert "grant" in nexscout("energy", "history", "--user", "bob").stdout


def test_who_is_no_admin_grants_nothing_and_reads_their_own_alone(nexscout, monkeypatch):
    nexscout("user", "set-tier", "bob", "free")
    monkeypatch.setenv("NEXSCOUT_ACTOR", "bob")
    assert nexscout("energy", "grant", "bob", 5).exit == 8
    assert nexscout("energy", "set", "bob", 5, "--reason", "x").exit == 8
    assert nexscout("energy", "show", "--user", "owner").exit == 8
    assert nexscout("energy", "history", "--user", "owner").exit == 8
    assert shown(nexscout)["balance"] == 100
