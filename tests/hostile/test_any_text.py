"""Whatever text it is given, the command ends with a published exit status and the books balance."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nexscout_cli.engine.request import AIRequest, Options
from nexscout_cli.engine.validate import check_request
from nexscout_cli.errors import NexScoutError
from tests.hostile.conftest import Home, _clean
from tests.support.openai_server import OpenAIServer

PUBLISHED = {0, 2, 3, 4, 5, 6, 7, 8, 9, 130}
"""Every exit status that is published but 1, which is a bug."""
ALPHABET = st.one_of(
    st.characters(),
    st.characters(categories=["Cs", "Cc", "Cf", "Co"]),
    st.sampled_from("\0\x1b\r\n\t[]/'\";=@-{}\\%*$`\u202e\u2066\ufeff\u200b\ud800\udfff🎈"),
)
ANY = st.text(ALPHABET, max_size=60)
RELAXED = settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def shared(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A home that all examples share; the current folder is an empty one."""
    folder = tmp_path_factory.mktemp("any") / "home"
    shutil.copytree(template, folder)
    empty = folder.parent / "empty"
    empty.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        _clean(patch, folder)
        patch.chdir(empty)
        yield Home(folder)


def ended(home: Home, *argv: str) -> None:
    done = home(*argv)
    assert done.status in PUBLISHED, done
    assert len(done.err.splitlines()) <= 3 + done.err.count("note: ") and "Traceback" not in done.err
    assert done.status == 0 or "--json" in argv or done.out == ""


@RELAXED
@given(prompt=ANY, goal=ANY, tone=ANY, system=ANY)
def test_any_prompt_goal_tone_and_system_text(
    shared: Home, one_server: OpenAIServer, prompt: str, goal: str, tone: str, system: str
) -> None:
    ended(shared, "run", f"--goal={goal}", f"--tone={tone}", f"--system={system}", "--", prompt)
    assert shared.sound()


@RELAXED
@given(prompt=ANY)
def test_any_prompt_under_json_gives_a_document(shared: Home, one_server: OpenAIServer, prompt: str) -> None:
    done = shared("run", "--json", "--", prompt)
    assert done.status in PUBLISHED and done.json["success"] is (done.status == 0)
    assert shared("simulate", "--json", "--", prompt).status in PUBLISHED


@RELAXED
@given(user=ANY, feature=st.one_of(ANY, ANY.map("ai_".__add__)), key=ANY)
def test_any_user_feature_and_idempotency_key(
    shared: Home, one_server: OpenAIServer, user: str, feature: str, key: str
) -> None:
    ended(shared, "run", f"--user={user}", f"--feature={feature}", "Hello")
    ended(shared, "run", f"--user={user}", f"--idempotency-key={key}", "Hello")
    for argv in (("user", "show"), ("user", "forget", "--dry-run")):
        ended(shared, *argv, "--", user)
    assert shared.sound()


@RELAXED
@given(name=ANY, value=ANY, file=st.one_of(st.binary(max_size=80), ANY.map(lambda s: s.encode("utf-8", "replace"))))
def test_any_context(shared: Home, one_server: OpenAIServer, name: str, value: str, file: bytes) -> None:
    ended(shared, "run", f"--context={name}={value}", "Hello")
    (shared.folder / "context.json").write_bytes(file)
    ended(shared, "simulate", "--json", "-c", f"@{shared.folder / 'context.json'}", "Hello")
    assert shared.sound()


@RELAXED
@given(words=st.lists(st.one_of(ANY, st.sampled_from(["--json", "-u", "--", "-", "batch", "log"])), max_size=4))
def test_any_line_of_words(shared: Home, one_server: OpenAIServer, words: list[str]) -> None:
    done = shared(*words)
    assert done.status in PUBLISHED and "Traceback" not in done.err


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), ANY),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY, inner, max_size=4),
)


@RELAXED
@given(texts=st.lists(ANY, min_size=6, max_size=6), context=JSON)
def test_any_request_of_a_program_is_taken_or_refused_by_name(texts: list[str], context: object) -> None:
    from nexscout_cli.config import Settings

    user, feature, prompt, goal, tone, key = texts
    request = AIRequest(user, feature, prompt, goal, tone, context, (), Options(idempotency_key=key))
    try:
        check_request(request, Settings())
    except NexScoutError as error:
        assert error.exit_status in (2, 3)


@pytest.mark.parametrize("context", [object(), {1, 2}, {(1, 2): 3}, b"bytes"], ids=["object", "set", "keys", "bytes"])
def test_a_programs_context_that_is_no_json_is_refused_by_name(context: object) -> None:
    from nexscout_cli.config import Settings

    with pytest.raises(NexScoutError, match="is not a JSON value"):
        check_request(AIRequest("ada", "ai_chatbot", "Hi", context=context), Settings())
