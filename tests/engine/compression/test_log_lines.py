"""Logs in the shapes that programs write, each with a fault that has to be found."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from nexscout_cli.engine.compression.by_structure import shorten
from nexscout_cli.engine.compression.log_lines import ERROR, WARNING, read
from nexscout_cli.engine.compression.structure import kind_of

FAULT = "cannot open harbour.sock: connection reset"
Write = Callable[[datetime, str, bool], str]


def nginx(at: datetime, said: str, bad: bool) -> str:
    return f'10.0.0.7 - - [{at:%d/%b/%Y:%H:%M:%S} +0000] "GET /mill HTTP/1.1" {502 if bad else 200} 12 "{said}" "curl"'


SHAPES: dict[str, Write] = {
    "json": lambda at, said, bad: json.dumps({"ts": at.isoformat(), "level": "error" if bad else "info", "msg": said}),
    "pino": lambda at, said, bad: json.dumps({"level": 50 if bad else 30, "time": at.timestamp(), "msg": said}),
    "logfmt": lambda at, said, bad: f'time={at.isoformat()} level={"error" if bad else "info"} msg="{said}" id={at.second}',
    "klog": lambda at, said, bad: f"{'E' if bad else 'I'}{at:%m%d %H:%M:%S}.000001 1 ctl.go:{at.second}] {said}",
    "kubectl": lambda at, said, bad: f"[pod/web-{at.second}/app] {at.isoformat()} {'ERROR' if bad else 'INFO'} {said}",
    "syslog": lambda at, said, bad: f"{at:%b %d %H:%M:%S} host app[{at.second}]: {said}",
    "nginx": nginx,
    "java": lambda at, said, bad: f"{at:%Y-%m-%d %H:%M:%S},123 [main] {'ERROR' if bad else 'INFO'} c.x.App - {said}"
    + ("\njava.io.IOException: reset\n\tat com.x.Net.read(Net.java:9)\nCaused by: x\n\t... 12 more" if bad else ""),
    "go": lambda at, said, bad: f"{at:%Y/%m/%d %H:%M:%S} {said}"
    + ("\npanic: reset\n\ngoroutine 1 [running]:\nmain.run(0x1)\n\t/app/main.go:10 +0x1d" if bad else ""),
}  # fmt: skip


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("faults", [(611,), (200, 340, 700, 713)])
def test_the_first_fault_and_how_often_it_came_up_stay_in_a_tenth(name: str, faults: tuple[int, ...]) -> None:
    start = datetime(2026, 3, 1, 8, tzinfo=UTC)
    entries = [
        SHAPES[name](
            start + timedelta(seconds=7 * n), FAULT if n in faults else f"job {n * 37} done in {n} ms", n in faults
        )
        for n in range(800)
    ]
    log = "\n".join(entries)
    assert kind_of(log) == "log"
    short = shorten(log, "log", "Why did the worker fail?", 0.1)
    assert entries[faults[0]].split("\n")[0] in short and len(short) < 0.11 * len(log)
    assert len(faults) == 1 or f"{len(faults)} times in all" in short


def test_records_that_name_no_time_and_message_are_no_log() -> None:
    assert kind_of("\n".join(json.dumps({"town": "Lind", "mills": n}) for n in range(9))) == "records"


@pytest.mark.parametrize(
    ("line", "severity"),
    [
        ('{"level": "ERROR", "msg": "x"}', ERROR),
        ('{"level": 40, "msg": "x"}', WARNING),
        ('{"level": 30, "msg": "no ERROR"}', 0),
        ("W0301 08:00:00.000001 1 a.go:3] x", WARNING),
        ("level=fatal msg=x", ERROR),
        ("{not JSON", 0),
    ],
)
def test_how_bad_a_line_is_comes_from_its_level(line: str, severity: int) -> None:
    assert read(line).severity == severity
