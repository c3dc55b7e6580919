"""Clients as people have them, each as its own documentation says, with nothing changed but the address and the key."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.server.conftest import Scout
from tests.support.openai_server import OpenAIServer

REPLY = "A reply of several words."


@pytest.fixture(scope="module")
def key(shared: Scout) -> str:
    return shared.key()


@pytest.fixture(autouse=True)
def answering(provider: OpenAIServer) -> None:
    provider.reply = REPLY


def run(argv: list[str], folder: Path, **env: str) -> str:
    """What a program prints; it has to end well."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("NEXSCOUT_", "OPENAI_"))}
    done = subprocess.run(
        argv, env=kept | {"HOME": str(folder)} | env, cwd=folder, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done
    return done.stdout


def test_llm_asks_by_its_own_configuration(shared: Scout, key: str, tmp_path: Path) -> None:
    pytest.importorskip("llm", reason="llm is not installed: pip install 'nexscout[clients]'")
    (tmp_path / "extra-openai-models.yaml").write_text(
        f"- model_id: scout\n  model_name: gpt-4o-mini\n  api_base: {shared.url}/v1\n  api_key_name: scout\n"
    )
    (tmp_path / "keys.json").write_text(json.dumps({"scout": key}))
    llm = [sys.executable, "-m", "llm", "-m", "scout", "Hello from llm"]
    home = {"LLM_USER_PATH": str(tmp_path)}
    assert run(llm, tmp_path, **home).strip() == REPLY
    assert run([*llm, "--no-stream"], tmp_path, **home).strip() == REPLY


LITELLM = """
import sys, litellm
about = {"model": "openai/gpt-4o-mini", "api_base": sys.argv[1], "api_key": sys.argv[2], "max_tokens": 30}
talk = [{"role": "user", "content": "Hello from a library"}]
print(litellm.completion(messages=talk, **about).choices[0].message.content)
print("".join(part.choices[0].delta.content or "" for part in litellm.completion(messages=talk, stream=True, **about)))
"""


def test_litellms_library_asks_plain_and_streamed(shared: Scout, key: str, tmp_path: Path) -> None:
    said = run([sys.executable, "-c", LITELLM, f"{shared.url}/v1", key], tmp_path, LITELLM_LOCAL_MODEL_COST_MAP="True")
    assert said.splitlines() == [REPLY, REPLY]


LANGCHAIN = """
import sys
from langchain_openai import ChatOpenAI
model = ChatOpenAI(model="gpt-4o-mini", base_url=sys.argv[1], api_key=sys.argv[2])
whole = model.invoke("Hello from a chain")
print(whole.content, whole.usage_metadata["total_tokens"] > 0)
print("".join(part.content for part in model.stream("Hello from a chain, streamed")))
"""


def test_langchain_invokes_and_streams(shared: Scout, key: str, tmp_path: Path) -> None:
    pytest.importorskip("langchain_openai", reason="langchain-openai is not installed: pip install 'nexscout[clients]'")
    said = run([sys.executable, "-c", LANGCHAIN, f"{shared.url}/v1", key], tmp_path)
    assert said.splitlines() == [f"{REPLY} True", REPLY]


def test_curl_gets_an_answer_its_headers_and_its_stream(shared: Scout, key: str, tmp_path: Path) -> None:
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("curl is not installed")
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello from curl"}]}
    asked = [curl, "-sS", "-i", f"{shared.url}/v1/chat/completions", "-H", f"Authorization: Bearer {key}"]
    said = run([*asked, "-H", "Content-Type: application/json", "-d", json.dumps(body)], tmp_path)
    assert said.startswith("HTTP/1.1 200") and "x-nexscout-cost-usd:" in said and REPLY in said
    streamed = run([*asked, "-N", "-d", json.dumps(body | {"stream": True})], tmp_path)
    assert "text/event-stream" in streamed and streamed.rstrip().endswith("data: [DONE]")


NODE = """
const OpenAI = require("openai").default;
const client = new OpenAI({ baseURL: process.argv[2], apiKey: process.argv[3] });
const messages = [{ role: "user", content: "Hello from Node" }];
(async () => {
  const whole = await client.chat.completions.create({ model: "gpt-4o-mini", messages });
  console.log(whole.choices[0].message.content);
  let text = "";
  for await (const part of await client.chat.completions.create({ model: "gpt-4o-mini", messages, stream: true }))
    text += part.choices[0]?.delta?.content ?? "";
  console.log(text);
  try { await new OpenAI({ baseURL: process.argv[2], apiKey: "wrong" }).models.list(); }
  catch (error) { console.log(error.constructor.name, error.status); }
})();
"""


def test_nodes_openai_package_asks_plain_and_streamed(shared: Scout, key: str, tmp_path: Path) -> None:
    """Its folder is the one that NEXSCOUT_TEST_NODE names (`npm install openai` there), else npm's global one."""
    node, npm = shutil.which("node"), shutil.which("npm")
    folder = os.environ.get("NEXSCOUT_TEST_NODE", "")
    if node is None or (not folder and npm is None):
        pytest.skip("Node is not installed")
    modules = Path(folder, "node_modules") if folder else Path(run([str(npm), "root", "-g"], tmp_path).strip())
    if not (modules / "openai").exists():
        pytest.skip("Node's package openai is not installed; NEXSCOUT_TEST_NODE names a folder that has it")
    (tmp_path / "ask.js").write_text(NODE)
    said = run([node, "ask.js", f"{shared.url}/v1", key], tmp_path, NODE_PATH=str(modules))
    assert said.splitlines() == [REPLY, REPLY, "AuthenticationError 401"]


def test_what_schemathesis_makes_of_the_description_meets_no_failure_of_the_server(
    shared: Scout, key: str, tmp_path: Path
) -> None:
    program = Path(sys.executable).with_name("schemathesis")
    if not program.exists():
        pytest.skip("schemathesis is not installed: pip install 'nexscout[clients]'")
    argv = [str(program), "run", f"{shared.url}/openapi.json", "--max-examples", "4", "--phases", "fuzzing"]
    argv += ["--checks", "not_a_server_error", "-H", f"Authorization: Bearer {key}", "--seed", "7", "--no-color"]
    run([*argv, "--generation-database", "none"], tmp_path)  # which fails where an answer was a 5xx
    assert shared.ask("/healthz").status == 200
