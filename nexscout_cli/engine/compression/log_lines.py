"""One line of a log: its template, when it was, and how bad it is; also of lines in JSON, logfmt, klog, and of access logs.

A template is the line without its times, numbers and quoted values. Of a line that names its fields it is level and message.
"""

from __future__ import annotations

import json
import re
from typing import NamedTuple

from nexscout_cli.engine.compression.program_output import PREFIX
from nexscout_cli.engine.compression.structure import ACCESS, KLOG, LOG_LEVELS, LOG_MESSAGES, LOG_TIMES, LOGFMT, TIME

ERROR, WARNING = 2, 1

_ERROR = re.compile(
    r"\b(?:ERROR|FATAL|CRITICAL|SEVERE|PANIC|EMERG|ALERT|[A-Z]\w*(?:Error|Exception)|Traceback|panic|segfault|Segmentation fault"
    r"|[Ff]atal|core dumped|OOM|oom-kill|Killed process|level=(?:error|fatal|critical|panic)|FAILED|FAIL|panicked|npm ERR)\b"
    r"|<[0-3]>|\[(?:emerg|alert|crit|error)\]|\berror(?:\[\w{1,20}\]| [A-Z]{1,4}\d{1,6})?: |npm error|^E {3}\S|[✗✘✕]"
)
_WARNING = re.compile(r"\b(?:WARN|WARNING|level=warn(?:ing)?|[Ff]ail(?:ed|ure)|timed out|refused|denied)\b")
_TOKEN = re.compile(r"\"[^\"\n]{0,200}\"|'[^'\n]{0,200}'|[^\s=:,(){}\[\]/\"']+")
_DIGIT = re.compile(r"\d")
_PAIR = re.compile(r"(?<![\w.])([\w.]{1,60})=(\"(?:[^\"\\\n]|\\.)*\"|[^\s\"]*)")
_BAD = re.compile(r"(?:err|fatal|crit|panic|alert|emerg|severe)", re.IGNORECASE)
_PINO_ERROR, _PINO_WARNING = 50, 40
"""From which number on bunyan's and pino's levels are errors, and warnings."""


class Line(NamedTuple):
    """``time`` as it is written, empty where nothing says so; ``severity`` 0, ``WARNING`` or ``ERROR``."""

    template: str
    time: str
    severity: int


def read(text: str) -> Line:
    """What the first line of an entry says, with the lines that go on with it."""
    if prefix := PREFIX.match(text):
        line = read(text[prefix.end() :])
        return line._replace(template=f"{prefix.group()}{line.template}")
    if text.startswith("{") and (fields := _object(text)):
        return _of_fields(fields)
    if LOGFMT.match(text) and (pairs := _PAIR.findall(text)):
        return _of_fields({name: value.strip('"') for name, value in pairs})
    if access := ACCESS.match(text):
        time, method, path, status = access.groups()
        template = f"{method} {path.split('?')[0].strip('/').split('/')[0]} {status}"
        return Line(template, time, ERROR if status[0] == "5" else WARNING if status[0] == "4" else 0)
    time = TIME.match(text)
    said = text[time.end() :] if time else text
    if KLOG.match(text):
        return Line(text[0] + _template(said), time.group() if time else "", {"E": 2, "F": 2, "W": 1}.get(text[0], 0))
    severity = ERROR if _ERROR.search(text) else WARNING if _WARNING.search(text) else 0
    return Line(_template(said), time.group() if time else "", severity)


def _object(line: str) -> dict[str, object]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _of_fields(fields: dict[str, object]) -> Line:
    level = str(next((fields[name] for name in LOG_LEVELS if name in fields), ""))
    time = str(next((fields[name] for name in LOG_TIMES if name in fields), ""))
    said = " ".join(str(fields[name]) for name in LOG_MESSAGES if fields.get(name))
    if level.isdecimal() and len(level) <= 3:
        severity = ERROR if int(level) >= _PINO_ERROR else WARNING if int(level) >= _PINO_WARNING else 0
    else:
        severity = ERROR if _BAD.match(level) else WARNING if level.lower().startswith("warn") else 0
    return Line(f"{level} {_template(said)}", time, severity)


def _template(said: str) -> str:
    return _TOKEN.sub(_varying, said)


def _varying(token: re.Match[str]) -> str:
    """``#`` for a token that differs from line to line: one with a digit, or in quotation marks."""
    text = token.group()
    return "#" if text[0] in "\"'" or _DIGIT.search(text) else text
