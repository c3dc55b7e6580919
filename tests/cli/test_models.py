from __future__ import annotations

import json

import pytest

SEEDED = [
    "claude-3-haiku",
    "claude-3-opus",
    "claude-3-sonnet",
    "gpt-4o",
    "gpt-4o-mini",
    "gpt-4o-mini-high",
    "smollm2-135m",
]
SERVER = "http://127.0.0.1:8080/v1"


def model(nexscout, name):
    return json.loads(nexscout("models", "show", name, "--json").stdout)


def listed(nexscout, *argv):
    return {row["model"]: row for row in json.loads(nexscout("models", "list", "--json", *argv).stdout)["rows"]}


def test_a_new_catalog_has_the_seven_seeded_models(nexscout):
    rows = listed(nexscout)
    assert sorted(rows) == SEEDED
    assert rows["claude-3-opus"]["notes"] == ["retired"] and not rows["claude-3-opus"]["available"]
    assert rows["gpt-4o-mini-high"]["notes"] == ["price differs from its provider's"]
    assert rows["gpt-4o"]["missing"] == "OPENAI_API_KEY is not set"
    text = nexscout("models", "list").stdout
    assert "0.00060" in text and "retired" in text


def test_prices_in_json_have_fixed_decimals(nexscout):
    assert '"input_price_per_1k": 0.000150000' in nexscout("models", "show", "gpt-4o-mini", "--json").stdout


def test_a_key_that_is_set_makes_its_models_available(nexscout, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    rows = listed(nexscout)
    assert rows["gpt-4o"]["available"] and not rows["claude-3-haiku"]["available"]


def test_a_mistyped_name_gets_the_nearest(nexscout):
    ran = nexscout("models", "show", "gpt-4oo")
    assert ran.exit == 2 and "did you mean gpt-4o?" in ran.stderr


def test_disabled_models_are_shown_by_all(nexscout):
    assert nexscout("models", "disable", "gpt-4o").exit == 0
    assert "gpt-4o" not in listed(nexscout) and listed(nexscout, "--all")["gpt-4o"]["enabled"] is False
    nexscout("models", "enable", "gpt-4o")
    assert "gpt-4o" in listed(nexscout)


def test_an_openai_name_pointed_at_a_server_keeps_what_it_calls(nexscout):
    assert nexscout("models", "set", "gpt-4o-mini", "--api-base", SERVER + "/") == (0, "", "")
    row = model(nexscout, "gpt-4o-mini")
    assert (row["litellm_model"], row["api_base"], row["api_key_env"]) == (
        "openai/gpt-4o-mini",
        SERVER,
        "OPENAI_API_KEY",
    )


def test_another_name_pointed_at_a_server_speaks_openai_there_and_is_no_longer_retired(nexscout):
    ran = nexscout("models", "set", "claude-3-haiku", "--api-base", SERVER)
    assert ran.exit == 0 and "openai/claude-3-haiku-20240307" in ran.stderr
    row = model(nexscout, "claude-3-haiku")
    assert (row["litellm_model"], row["api_key_env"], row["retired"]) == (
        "openai/claude-3-haiku-20240307",
        "OPENAI_API_KEY",
        False,
    )
    assert row["input_price_per_1k"] == 0.00025


def test_a_key_variable_that_is_given_stays(nexscout):
    nexscout("models", "set", "claude-3-haiku", "--api-base", SERVER, "--api-key-env", "none")
    assert model(nexscout, "claude-3-haiku")["api_key_env"] is None
    nexscout("models", "set", "claude-3-opus", "--api-base", SERVER, "--api-key-env", "HOUSE_KEY")
    assert model(nexscout, "claude-3-opus")["api_key_env"] == "HOUSE_KEY"


def test_an_address_that_is_no_openai_server_rewrites_nothing(nexscout):
    nexscout("models", "set", "claude-3-haiku", "--api-base", "https://proxy.example.com/anthropic")
    row = model(nexscout, "claude-3-haiku")
    assert (
        row["litellm_model"].startswith("anthropic/")
        and row["api_key_env"] == "ANTHROPIC_API_KEY"
        and not row["retired"]
    )


def test_pointing_a_name_elsewhere_takes_the_new_providers_key(nexscout):
    nexscout("models", "set", "claude-3-opus", "--litellm-model", "openai/gpt-4o")
    row = model(nexscout, "claude-3-opus")
    assert (row["retired"], row["api_key_env"], row["notes"]) == (
        False,
        "OPENAI_API_KEY",
        ["price differs from its provider's"],
    )
    nexscout("models", "set", "claude-3-opus", "--retired")
    assert model(nexscout, "claude-3-opus")["retired"] is True


@pytest.mark.parametrize(
    "address",
    [
        "ftp://host/v1",
        "http://",
        "http://u:secret@host/v1",
        "host/v1",
        "http://h/v1?key=secret",
        "http://h:x/v1",
        "http://a b/v1",
    ],
)
def test_an_address_is_http_with_a_host_and_no_credentials(nexscout, address):
    ran = nexscout("models", "set", "gpt-4o", "--api-base", address)
    assert ran.exit == 2 and "secret" not in ran.stderr
    assert model(nexscout, "gpt-4o")["api_base"] is None


@pytest.mark.parametrize("key", ["sk-abc", "sk-proj-0123456789abcdef", "gsk_0123456789", "AIzaSyA0123456789abc"])
def test_a_key_in_place_of_its_variables_name_is_refused_and_not_repeated(nexscout, key):
    ran = nexscout("models", "set", "gpt-4o", "--api-key-env", key)
    assert ran.exit == 2 and "keys are never stored" in ran.stderr and key not in ran.stderr
    assert model(nexscout, "gpt-4o")["api_key_env"] == "OPENAI_API_KEY"


@pytest.mark.parametrize("name", ["HF_TOKEN_OF_MINE", "OPENAI_API_KEY", "XAI_API_KEY2"])
def test_the_name_of_a_variable_is_taken(nexscout, name):
    assert nexscout("models", "set", "gpt-4o", "--api-key-env", name).exit == 0
    assert model(nexscout, "gpt-4o")["api_key_env"] == name


def test_add_takes_price_and_window_from_the_table(nexscout):
    assert (
        nexscout(
            "models", "add", "mini", "--litellm-model", "openai/gpt-4o-mini", "--quality", 0.7, "--type", "small"
        ).exit
        == 0
    )
    row = model(nexscout, "mini")
    assert (row["input_price_per_1k"], row["max_tokens"], row["api_key_env"], row["notes"]) == (
        0.00015,
        128_000,
        "OPENAI_API_KEY",
        [],
    )


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (("x", "--litellm-model", "nobody/knows"), "not known"),
        (
            ("x", "--litellm-model", "nobody/knows", "--input-price", "0", "--output-price", "1", "--max-tokens", "9"),
            "--free",
        ),
        (("x", "--litellm-model", "nobody/knows", "--input-price", "1", "--output-price", "1"), "--max-tokens"),
        (("x", "--litellm-model", "nobody/knows", "--input-price", "-1", "--output-price", "1"), "--input-price"),
        (("x", "--litellm-model", "openai/text-embedding-3-small"), "is not a chat model"),
        (("x", "--litellm-model", "embedded/Other", "--free", "--max-tokens", "9"), "embedded"),
        (("gpt-4o",), "already"),
        (("fast", "--litellm-model", "openai/gpt-4o"), "mode"),
        (("/x", "--litellm-model", "openai/gpt-4o"), "name"),
        (("x y", "--litellm-model", "openai/gpt-4o"), "name"),
        (("x" * 65, "--litellm-model", "openai/gpt-4o"), "name"),
        (("x", "--litellm-model", "openai/gpt-4o", "--quality", "nan"), "--quality"),
        (("x", "--litellm-model", "openai/gpt-4o", "--type", "hugee"), "type"),
        (("x", "--litellm-model", "openai/gpt-4o", "--param", "api_key=abc"), "--param"),
    ],
)
def test_what_cannot_be_added_is_refused(nexscout, argv, says):
    ran = nexscout("models", "add", *argv)
    assert ran.exit == 2 and says in ran.stderr
    assert sorted(listed(nexscout, "--all")) == SEEDED


def test_a_tiered_price_is_refused_or_its_window_cut(nexscout, monkeypatch):
    from nexscout_cli.providers import prices

    def lookup(flat):
        return lambda name: prices.Listing(name, "p", "chat", 1000, 2000, 500_000, 8_000, True, flat)

    monkeypatch.setattr(prices, "lookup", lookup(None))
    assert nexscout("models", "add", "x", "--litellm-model", "p/x").exit == 2
    monkeypatch.setattr(prices, "lookup", lookup(200_000))
    assert nexscout("models", "add", "x", "--litellm-model", "p/x", "--max-tokens", 300_000).exit == 2
    assert nexscout("models", "add", "x", "--litellm-model", "p/x").exit == 0
    assert model(nexscout, "x")["max_tokens"] == 200_000


def test_a_free_model_is_an_admins_word(nexscout):
    assert (
        nexscout("models", "add", "local", "--litellm-model", "ollama/llama3", "--free", "--max-tokens", 8192).exit == 0
    )
    row = model(nexscout, "local")
    assert (row["input_price_per_1k"], row["output_price_per_1k"], row["api_key_env"]) == (0, 0, None)
    ran = nexscout("models", "set", "local", "--litellm-model", "openai/gpt-4o")
    assert ran.exit == 2 and "--free" in ran.stderr


def test_the_embedded_model_stays_free_only_while_it_is_embedded(nexscout):
    assert nexscout("models", "set", "smollm2-135m", "--litellm-model", "openai/gpt-4o").exit == 2
    assert nexscout("models", "set", "smollm2-135m", "--api-base", SERVER).exit == 2
    assert nexscout("models", "set", "gpt-4o", "--litellm-model", "embedded/Other").exit == 2
    assert nexscout("models", "set", "smollm2-135m", "--quality", 0.3).exit == 0


def test_params_are_json_or_text_and_can_be_removed(nexscout):
    nexscout("models", "set", "gpt-4o", "--param", "seed=7", "--param", "user=ana")
    assert model(nexscout, "gpt-4o")["params"] == {"seed": 7, "user": "ana"}
    nexscout("models", "set", "gpt-4o", "--param", "user=")
    assert model(nexscout, "gpt-4o")["params"] == {"seed": 7}
    assert nexscout("models", "set", "gpt-4o").exit == 2


def test_sync_compares_and_apply_adopts(nexscout):
    rows = {row["model"]: row for row in json.loads(nexscout("models", "sync", "--json").stdout)["rows"]}
    high = rows["gpt-4o-mini-high"]
    assert (high["status"], high["provider_input_price_per_1k"], high["applied"]) == ("differs", 0.00015, False)
    assert rows["gpt-4o"]["status"] == "same" and rows["smollm2-135m"]["status"] == "embedded"
    assert "0.00030 → 0.00015" in nexscout("models", "sync").stdout
    assert nexscout("models", "sync", "--apply").exit == 0
    row = model(nexscout, "gpt-4o-mini-high")
    assert (row["input_price_per_1k"], row["output_price_per_1k"], row["notes"]) == (0.00015, 0.0006, [])
    assert row["litellm_model"] == "openai/gpt-4o-mini" and "instruction" in row["params"]


def test_a_name_on_its_own_server_is_not_compared(nexscout):
    nexscout("models", "set", "gpt-4o-mini-high", "--api-base", SERVER)
    nexscout("models", "sync", "--apply")
    assert model(nexscout, "gpt-4o-mini-high")["input_price_per_1k"] == 0.0003


def test_seed_adds_what_is_missing_and_current_todays_models(nexscout):
    assert json.loads(nexscout("models", "seed", "--json").stdout)["added"] == []
    dry = nexscout("models", "seed", "--current", "--dry-run").stdout.split()
    assert len(dry) > 5 and sorted(listed(nexscout)) == SEEDED
    assert json.loads(nexscout("models", "seed", "--current", "--json").stdout)["added"] == dry
    assert set(dry) < set(listed(nexscout))
    assert not [row["model"] for row in listed(nexscout).values() if row["model"] in dry and row["notes"]]


def test_pull_keeps_a_file_that_is_here_and_says_where(nexscout, monkeypatch, tmp_path):
    from nexscout_cli.providers.embedded import pull as puller

    def pull(folder, progress, note, force):
        note("checking")
        progress(1, 2)
        return folder / "models" / "file"

    monkeypatch.setattr(puller, "pull", pull)
    ran = nexscout("models", "pull")
    assert ran == (0, "", f"checking\nthe embedded model is at {tmp_path}/models/file\n")
    assert nexscout("models", "pull", "--quiet") == (0, "", "")


@pytest.mark.parametrize(
    "argv",
    [
        ("disable", "gpt-4o"),
        ("enable", "gpt-4o"),
        ("seed",),
        ("sync", "--apply"),
        ("set", "gpt-4o", "--quality", "0.1"),
        ("add", "x", "--litellm-model", "openai/gpt-4o"),
    ],
)
def test_who_is_no_admin_reads_and_writes_nothing(nexscout, monkeypatch, argv):
    nexscout("user", "set-tier", "bob", "free")
    monkeypatch.setenv("NEXSCOUT_ACTOR", "bob")
    before = nexscout("models", "list", "--all", "--json").stdout
    ran = nexscout("models", *argv)
    assert ran.exit == 8 and "only an admin" in ran.stderr
    assert nexscout("models", "list", "--all", "--json").stdout == before
