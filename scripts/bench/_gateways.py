"""Gateways as processes, for benchmarks: ours, LiteLLM's proxy and Portkey's gateway, each before one loopback provider."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

CONFIG = """
model_list:
  - model_name: gpt-4o-mini
    litellm_params: {{model: openai/gpt-4o-mini, api_base: "{url}", api_key: k, max_retries: 0}}
litellm_settings: {{num_retries: 0}}
"""


class Absent(Exception):
    """Why a gateway is not measured."""


class Gateway:
    """A gateway that runs. ``port`` and ``key`` are where and how it is asked, ``headers`` what it is told beside."""

    name = "upstream alone"
    headers = ""
    process: subprocess.Popen[str] | None = None
    key = "k"

    def __init__(self, folder: Path, upstream: int) -> None:
        self.folder, self.url = folder, f"http://127.0.0.1:{upstream}/v1"
        self.port = upstream

    def start(self) -> None:
        """Start it. Raises Absent where it is not installed, or does not start."""

    def commits(self) -> tuple[float, ...]:
        """How many commits its books have made so far, and their seconds; how many a call waited for, and the seconds of the
        whole transactions of those.
        """
        return 0.0, 0.0, 0.0, 0.0

    def stop(self) -> None:
        """End it."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGTERM)
            self.process.wait(60)
            self.process = None

    def pids(self) -> list[int]:
        """Its processes."""
        if self.process is None:
            return []
        own = self.process.pid
        found = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit() and _group(path) == own]
        return found or [own]

    def cpu(self) -> float:
        """Seconds of CPU that its processes have used, in user and system mode."""
        return sum(_cpu(pid) for pid in self.pids())

    def memory(self) -> float:
        """Resident megabytes of its processes; of several, what they share is counted once."""
        pids = self.pids()
        return sum(_memory(pid, "VmRSS" if len(pids) == 1 else "Pss") for pid in pids)

    def _run(self, argv: list[str], env: dict[str, str]) -> subprocess.Popen[str]:
        log = (self.folder / f"{type(self).__name__}.log").open("w")
        return subprocess.Popen(
            argv, cwd=self.folder, env=env, stdout=log, stderr=log, text=True, start_new_session=True
        )

    def _answers(self, path: str, seconds: float = 120) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=2):
                    return
            except urllib.error.HTTPError:
                return
            except OSError:
                time.sleep(0.3)
        said = (self.folder / f"{type(self).__name__}.log").read_text()[-300:]
        raise Absent(f"it did not start: {' '.join(said.split())}")


class Ours(Gateway):
    """nexscout serve, with its ledger: in a file, or at ``books``, the URL of a PostgreSQL; ``workers``: its processes."""

    name = "nexscout serve, ledger on"
    books = ""
    workers = 1

    def start(self) -> None:
        """Start it, with a key whose tier has plenty."""
        self.folder.mkdir(exist_ok=True)
        env = {name: value for name, value in os.environ.items() if not name.startswith("NEXSCOUT_")} | {
            "NEXSCOUT_HOME": str(self.folder / "home"),
            "NEXSCOUT_ACTOR": "ada",
            "OPENAI_API_KEY": "k",
            "OPENAI_BASE_URL": self.url,
            "NEXSCOUT_TIERS_ELITE_DAILY_TOKENS": "1000000000",
            "NEXSCOUT_TIERS_ELITE_ENERGY": "1000000000",
            "NEXSCOUT_SERVE_MAX_AT_ONCE": "2000",
        }
        if self.books:
            env["NEXSCOUT_DB"] = self.books
        command = [sys.executable, "-m", "nexscout_cli"]
        made = subprocess.run([*command, "keys", "create"], env=env, capture_output=True, text=True, check=True)
        self.key = made.stdout.strip()
        self.process = self._run([*command, "serve", "--port", "0", "--workers", str(self.workers)], env)
        log, until = self.folder / "Ours.log", time.monotonic() + 60
        while not (found := re.search(r":(\d+)/v1", log.read_text())):
            if time.monotonic() > until:
                raise Absent("it did not start")
            time.sleep(0.1)
        self.port = int(found[1])

    def commits(self) -> tuple[float, ...]:
        """See :class:`Gateway`."""
        address = f"http://127.0.0.1:{self.port}/metrics"
        request = urllib.request.Request(address, headers={"authorization": f"Bearer {self.key}"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            told = answer.read().decode()
        found = dict(line.split() for line in told.splitlines() if line.startswith(("nexscout_commit_", "nexscout_tr")))
        names = (f"nexscout_{of}_seconds_{what}" for of in ("commit", "transaction") for what in ("count", "sum"))
        return tuple(float(found.get(name, 0)) for name in names)


class LiteLLM(Gateway):
    """LiteLLM's proxy, without a database."""

    name = "LiteLLM proxy, no ledger"
    program: str | None = None

    def start(self) -> None:
        """Start it."""
        program = self.program or shutil.which("litellm", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
        if program is None:
            raise Absent("not installed: pip install 'litellm[proxy]', or name its program with --litellm")
        (self.folder / "config.yaml").write_text(CONFIG.format(url=self.url))
        self.port = 14_000 + os.getpid() % 1_000
        self.key = f"sk-{os.urandom(12).hex()}"
        env = {k: v for k, v in os.environ.items() if not k.startswith(("NEXSCOUT_", "LITELLM_", "DATABASE_"))}
        env |= {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MASTER_KEY": self.key}
        run = [program, "--config", "config.yaml", "--port", str(self.port), "--host", "127.0.0.1"]
        self.process = self._run(run, env)
        self._answers("/health/liveliness")


class Portkey(Gateway):
    """Portkey's gateway, which keeps no books."""

    name = "Portkey gateway, no ledger"
    program: str | None = None

    def start(self) -> None:
        """Start it."""
        node = shutil.which("node")
        if node is None or self.program is None:
            raise Absent("not installed: npm install @portkey-ai/gateway, then name its folder with --portkey")
        script = Path(self.program) / "node_modules/@portkey-ai/gateway/build/start-server.js"
        if not script.exists():
            raise Absent(f"there is no {script}")
        self.port = 15_000 + os.getpid() % 1_000
        self.headers = f"x-portkey-provider: openai\r\nx-portkey-custom-host: {self.url}\r\n"
        # It calls addresses of this machine only where it is told that it may.
        env = dict(os.environ) | {"TRUSTED_CUSTOM_HOSTS": "127.0.0.1", "NODE_ENV": "production"}
        self.process = self._run([node, str(script), f"--port={self.port}", "--headless"], env)
        self._answers("/")


def _group(path: Path) -> int | None:
    try:
        return int((path / "stat").read_text().rpartition(")")[2].split()[2])
    except (OSError, IndexError):
        return None


def _cpu(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory(pid: int, what: str) -> float:
    try:
        told = Path(f"/proc/{pid}/{'smaps_rollup' if what == 'Pss' else 'status'}").read_text()
    except OSError:
        return 0.0
    found = re.search(rf"^{what}:\s+(\d+)", told, re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0
