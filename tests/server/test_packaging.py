"""The unit of systemd and the Dockerfile: what they name is there, and what they run works, without either of the two."""

from __future__ import annotations

import configparser
import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.server.conftest import Scout

ROOT = Path(__file__).parents[2]
UNIT, DOCKERFILE = ROOT / "packaging" / "nexscout.service", ROOT / "packaging" / "Dockerfile"


def steps() -> list[tuple[str, str]]:
    """The Dockerfile's instructions and their words."""
    lines = re.sub(r"\\\n", " ", DOCKERFILE.read_text()).splitlines()
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in lines) if name.isupper()]


def served(scout: Scout, command: list[str]) -> None:
    """Run what a file says, on a port of this test's, and ask it for an answer."""
    assert command[:2] == ["nexscout", "serve"]
    key = scout.key()
    scout.serve(*command[2:])
    scout.url = re.sub(r"//0\.0\.0\.0", "//127.0.0.1", scout.url)
    assert scout.ask("/healthz").status == 200 and scout.ask("/v1/models").status == 401
    assert scout.chat("Hello", key, max_tokens=30).status == 200


def test_the_unit_starts_a_server_that_answers(alone: Scout) -> None:
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment]
    unit.read(UNIT)
    service = unit["Service"]
    command = shlex.split(service["ExecStart"])
    assert Path(command[0]).name == "nexscout" and (service["NoNewPrivileges"], service["ProtectSystem"]) == (
        "yes",
        "strict",
    )
    assert int(service["TimeoutStopSec"]) >= 600  # as long as a stream may take
    served(alone, ["nexscout", *command[1:]])


def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd is not installed")
    copy = tmp_path / "nexscout.service"
    copy.write_text(UNIT.read_text().replace("/opt/nexscout/bin/nexscout", "/bin/true"))
    done = subprocess.run([analyze, "verify", str(copy)], capture_output=True, text=True)
    assert "nexscout.service" not in done.stderr, done.stderr


def test_the_dockerfile_copies_what_there_is_and_installs_extras_that_there_are() -> None:
    copied = [word for name, rest in steps() if name == "COPY" for word in rest.split()[:-1]]
    assert [word for word in copied if not (ROOT / word).exists()] == []
    project = (ROOT / "pyproject.toml").read_text()
    [extras] = re.findall(r"'\.\[([\w,]+)\]'", DOCKERFILE.read_text())
    assert [one for one in extras.split(",") if f"\n{one} = [" not in project] == []
    readme, license_ = (re.search(rf'^{name} = .*?"([^"]+)"', project, re.M) for name in ("readme", "license-files"))
    assert readme and license_ and {readme[1], license_[1]} <= set(copied)
    assert dict(steps())["USER"] == "nexscout"  # not root


def test_the_dockerfiles_command_serves_from_its_environment(alone: Scout) -> None:
    told = dict(steps())
    assert "NEXSCOUT_HOME=/data" in told["ENV"] and told["VOLUME"] == "/data"
    served(alone, json.loads(told["CMD"]))
