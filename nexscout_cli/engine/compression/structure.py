"""What kind of text was handed over, told by its first lines. What is none of the others is prose.

======== ======================================================================================
diff     hunks of a unified diff, with or without headers and commit messages
log      lines that begin with a time or name a level; stack traces; what tests and builds print
code     a program's source
table    lines of equally many cells, parted by commas, semicolons, tabs or bars
columns  a table that is drawn with blanks
records  a JSON list of objects, or a JSON object on each line
json     any other JSON value
config   lines of names and values
mail     messages with their headers, or a thread of quotations
html     a page
markdown a text under headings of its own
entries  subtitles, translations, a history of commits, XML, YAML's documents: entries of several lines
sql      a database's dump
notebook Jupyter's cells
======== ======================================================================================
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from itertools import islice, pairwise

from nexscout_cli.engine.compression.program_output import PREFIX, is_of_trace, is_printed, is_session

SAMPLE = 20_000
"""Characters that are looked at."""
_LOOKED_AT = 80
"""Lines, about, by which a log is told."""
MIN_LINES = 5
"""Lines from which a table, a log or a program can be told."""
BYTE_FOR_BYTE = ("diff", "log", "code", "table", "columns", "config", "mail", "html", "markdown", "entries", "sql")
"""Kinds of which nothing is left out unless something was asked to be left out."""

TIME = re.compile(
    r"\[?(?:\d{4}[-/.]\d\d[-/.]\d\d[T _]?(?:\d\d:\d\d(?::\d\d)?(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?)?"
    r"|\d\d:\d\d:\d\d(?:[.,]\d{1,9})?|[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d|\d{1,2}/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d"
    r"|\d{1,2}[/.]\d{1,2}[/.]\d{2,4},? \d{1,2}:\d\d(?::\d\d)?(?: ?[AaPp][Mm])?"
    r"|\d{10}(?:\.\d{1,9})?(?= )|[IWEF]\d{4} \d\d:\d\d:\d\d\.\d{1,9})"
)
KLOG = re.compile(r"[IWEF]\d{4} \d\d:\d\d:\d\d\.")
LOGFMT = re.compile(r"(?:time|ts|t|level|lvl|msg)=\S")
ACCESS = re.compile(
    r"\S{1,80} \S{1,80} \S{1,80} \[(\d\d/[A-Z][a-z]{2}/\d{4}:[^\]\n]{1,40})\] \"(\S{1,20}) (\S{1,2000})[^\"\n]{0,20}\" (\d{3})\b"
)
"""A line of a web server's log: the time, the method, the path and the status."""
HUNK = re.compile(r"@@ -\d{1,9}(?:,(\d{1,9}))? \+\d{1,9}(?:,(\d{1,9}))? @@")
LOG_TIMES = ("time", "ts", "timestamp", "@timestamp", "t", "date", "datetime", "eventTime", "asctime")
LOG_LEVELS = ("level", "lvl", "severity", "levelname", "log.level", "loglevel", "Level", "@l")
LOG_MESSAGES = ("msg", "message", "event", "error", "err", "exception", "text", "log", "MESSAGE", "@m")
"""How the fields of a log's record are named."""
_RECORD = re.compile(r'"(?:msg|message|level|severity|ts|time|timestamp|@timestamp)"')
COMBINED = re.compile(r"@@@+ (?:-\d{1,9}(?:,\d{1,9})? ){2,9}\+\d{1,9}(?:,\d{1,9})? @@@+")
"""A hunk of a merge: its lines have a sign for each parent."""
HEADING = re.compile(r"#{1,6} \S")
_LEVEL = re.compile(
    r"(?:TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|FATAL|CRITICAL|SEVERE)\b|(?:info|warn|error|debug)\b[\]:=]"
)
_MAIL = re.compile(
    r"(From|To|Cc|Subject|Date|Sent|Message-ID|Reply-To|Received|Von|An|Betreff|Gesendet|De|À|Objet|Asunto|Para):\s",
    re.I,
)
_WROTE = re.compile(r"(?:On|Am|Le|El) .{1,200}(?:wrote|schrieb.{0,80}|a écrit|escribió)\s?:\s*\Z")
_TAG = re.compile(
    r"<(?:/?(?:p|div|li|ul|ol|td|tr|table|span|a|h[1-6]|head|body|nav|script|section|article|main)\b|!doctype|html\b)",
    re.I,
)
_CODE = re.compile(
    r"\s*(?:(?:async )?def \w+\(|class \w+[\w(<:{, .]*[:{]?\s*\Z|import [\w.{*\"'(]+|from [\w.]+ import |@\w+"
    r"|return\b.{0,200}[;\w)\]]\Z"
    r"|(?:if|elif|for|while|with|try|except|else)\b.{0,200}:\s*\Z|(?:export |pub |public |private |protected |static )"
    r"|(?:fn|func|function) ?\w*|(?:const|let|var|val) \w+|#include\b|package \w|use [\w:]+|using \w|namespace \w|//|/\*|\* "
    r"|[\w.\[\]]+ (?:[-+*/|]?=|:=) \S|self\.\w|[)\]}]+[;,)]*\s*\Z|(?:SELECT|INSERT|UPDATE|CREATE|ALTER)\b"
    r"|[^#\n]{0,300}[;{]\s*\Z|[\w.]{1,80}\([^()\n]{0,200}\)\s*\Z)"
)
_PROGRAM = re.compile(
    r"(?:def|class) \w+.*:\s*\Z|(?:import|from) [\w.]+(?: import .+| as \w+)?\s*\Z|#include\b|func \w+\(|package \w+;?\s*\Z"
    r"|fn \w+|function \w+\s?\(|\w+\(\) ?\{|<\?php\b|require(?:_relative)? ['\"][^'\"\n]{1,200}['\"]\s*\Z"
    r"|\s*(?:def [\w.]+[?!=]?(?:\(.*\))?|module [A-Z][\w:]*|class [A-Z][\w:]*(?: < [A-Z][\w:]*)?)\s*\Z"
)
_SETTING = re.compile(
    r"\s*(?:- )?(?:[\w.\"'/-]{1,60}\s?[:=](?: ?[^\s].{0,60})?(?<![.?!])|\[[^\[\]\n]{1,60}\]|#.*|- \S{1,60})\s*\Z"
)
_DOCKER = re.compile(r"(?:FROM|RUN|COPY|ADD|ENV|WORKDIR|ENTRYPOINT|CMD|EXPOSE|ARG|LABEL|USER|VOLUME|HEALTHCHECK) \S")
_ENTRIES = (" --> ", "msgstr ", "commit ", "---", " will be ", " must be ")
"""One of these stands in every text of entries but XML."""
_LONG_LINE = 1_000
_NOT_PROSE = tuple(" \t{}[]()<>|+@/\\")
_GAP = re.compile(r"(?<=[^\s.!?:…])(?: {2,}|\t+)(?=\S)")  # some end a sentence with two blanks


def kind_of(text: str) -> str:
    """The kind of a text: one of the names above, or ``prose``."""
    sample = text[:SAMPLE]
    lines = [line for line in sample.split("\n") if line.strip()]
    if not lines:
        return "prose"
    if _is_diff(lines):
        return "diff"
    begin, end = text.lstrip()[:1], text.rstrip()[-1:]
    if begin + end in ("[]", "{}") and (found := _json(text, lines)):
        return found
    tags = sum(bool(_TAG.match(line.lstrip())) for line in lines if "<" in line)
    if tags > 0.3 * len(lines) and sample.count("</") > 2:
        return "html"
    if _is_mail(lines):
        return "mail"
    if sample.lstrip()[0] == "<" or any(sign in sample for sign in _ENTRIES):
        from nexscout_cli.engine.compression.entries import starts_of

        if starts_of(sample.split("\n")):
            return "entries"
    from nexscout_cli.engine.compression.sql_dump import is_dump

    return "sql" if is_dump(lines) else _by_lines(lines)


def _by_lines(lines: list[str]) -> str:
    """What is told by how many of the lines look alike."""
    count = len(lines)
    some = lines[:: 1 + count // _LOOKED_AT]
    if sum(map(_is_logged, some)) > 0.4 * len(some) and (count >= MIN_LINES or any(map(is_of_trace, lines))):
        return "log"
    if any(map(is_session, lines[:5])) or (count >= MIN_LINES and sum(map(is_printed, some)) > 0.4 * len(some)):
        return "log"
    if (count > 2 and _most(lines, lambda line: line.lstrip()[:1] == "|", 0.8)) or separator(lines):
        return "table"
    if (
        lines[0].startswith(("#!", "<?php"))
        or len([*islice(filter(_is_program, lines), 2)]) > 1
        or any(map(_is_minified, lines))
    ):
        return "code"
    if any(line.startswith("FROM ") for line in lines) and sum(bool(_DOCKER.match(line)) for line in lines) > 2:
        return "config"
    bare = [line for line in lines if not line.lstrip().startswith(("#", ";"))]
    if len(bare) >= MIN_LINES and _most(bare, _SETTING.match, 0.8):
        return "config"
    headings = sum(line[0] == "#" and bool(HEADING.match(line)) for line in lines)
    if headings > 1 or (headings and any(line.startswith("```") for line in lines)):
        return "markdown"
    if count >= 3 and _most(lines, _CODE.match, 0.35):
        return "code"
    return "columns" if count >= MIN_LINES and _in_columns(lines) else "prose"


def _most(lines: list[str], test: Callable[[str], object], share: float) -> bool:
    """Whether more than a share (0..1) of the lines pass a test; no more of them are tried than it takes to know."""
    wanted = share * len(lines)
    spare = len(lines) - wanted
    for line in lines:
        if test(line):
            wanted -= 1
        else:
            spare -= 1
        if wanted < 0 or spare <= 0:
            break
    return wanted < 0


def reads_as_prose(paragraph: str) -> bool:
    """True for a paragraph of which no line looks like one of a program, a log, a diff or a table."""
    return not any(
        line[:1] in _NOT_PROSE
        or line.rstrip()[-1:] in ("{", "}", ";")
        or _is_program(line)
        or _is_logged(line)
        or line.count("\t") + line.count(";") + line.count("|") > 2
        for line in paragraph.strip("\n").split("\n")
    )


def _is_program(line: str) -> bool:
    return _PROGRAM.match(line) is not None


def _is_minified(line: str) -> bool:
    """True for a line in which a whole program stands."""
    return len(line) > _LONG_LINE and "{" in line and sum(map(line.count, "{};()")) > len(line) / 40


def _is_diff(lines: list[str]) -> bool:
    if any(line.startswith("@@") and (HUNK.match(line) or COMBINED.match(line)) for line in lines):
        return True
    return any(line.startswith(("diff --git ", "diff --cc ", "diff --combined ")) for line in lines)


def _json(text: str, lines: list[str]) -> str:
    """``records`` or ``json`` where the brackets at both ends are a JSON value's, or those of one on each line."""
    import json

    if len(lines) > 2 and all(line.startswith("{") and line.rstrip().endswith("}") for line in lines[:-1]):
        return "log" if sum(map(_is_record_of_a_log, lines[:20])) > 0.8 * min(20, len(lines)) else "records"
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return ""
    from nexscout_cli.engine.compression.notebooks import is_notebook

    if is_notebook(value):
        return "notebook"
    if _are_records(value) or (isinstance(value, dict) and list(value) == ["columns", "rows"]):
        return "records"
    return "records" if isinstance(value, dict) and wrapped_list(value) else "json"


def _are_records(value: object) -> bool:
    return isinstance(value, list) and len(value) > 2 and all(isinstance(item, dict) for item in value)


def wrapped_list(value: dict[str, object]) -> str:
    """The name of the one list of records that an object holds, beside single values; empty where it holds other things."""
    lists = [name for name, its in value.items() if isinstance(its, list | dict) and its]
    return lists[0] if len(lists) == 1 and _are_records(value[lists[0]]) else ""


def _is_record_of_a_log(line: str) -> bool:
    """True for a JSON object that names a time, and a level or a message."""
    import json

    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return False
    names = value.keys() if isinstance(value, dict) else set()
    return not names.isdisjoint(LOG_TIMES) and not names.isdisjoint((*LOG_LEVELS, *LOG_MESSAGES))


def _is_mail(lines: list[str]) -> bool:
    names = {match.group(1).lower() for line in lines[:12] if (match := _MAIL.match(line))}
    if len(names) > 2 and names & {"from", "subject", "date", "von", "betreff", "de", "objet", "asunto"}:
        return True
    return any(_WROTE.match(line) for line in lines) and any(line.startswith(">") for line in lines)


def _is_logged(line: str) -> bool:
    line = line[:400]
    if prefix := PREFIX.match(line):
        line = line[prefix.end() :]
        if line.startswith('{"') and _RECORD.search(line):
            return True
    return bool(
        TIME.match(line) or _LEVEL.search(line, 0, 60) or is_of_trace(line) or LOGFMT.match(line) or ACCESS.match(line)
    )


def separator(lines: list[str]) -> str:
    """What parts the cells of a table of at least five lines; empty where the lines have no equal number of cells."""
    if len(lines) < MIN_LINES:
        return ""
    import csv

    for mark, least in (("\t", 1), (";", 2), (",", 2), ("|", 2)):
        if mark not in lines[0]:
            continue
        try:
            cells = [len(row) for row in csv.reader(lines[:-1][:100], delimiter=mark)]
        except csv.Error:
            continue
        width, times = Counter(cells).most_common(1)[0]
        if width > least and times > 0.9 * len(cells) and len(cells) >= MIN_LINES - 1:
            return mark
    return ""


def _in_columns(lines: list[str]) -> bool:
    """True where most lines have a cell that begins where one of the line before does, after two blanks or more."""
    starts = [{gap.end() for gap in _GAP.finditer(line[:300])} for line in lines]
    shared = sum(bool(one & other) for one, other in pairwise(starts))
    return shared > 0.6 * (len(lines) - 1)
