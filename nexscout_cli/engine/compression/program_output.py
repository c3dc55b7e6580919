"""Lines that tests, compilers, package managers and builds print, and traces of what went wrong, in many languages.

A trace is one entry of a log: what it begins with, its frames, and what caused it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

FRAME = re.compile(
    r"\s+at \S+.{0,200}[):\d\]]\s*\Z|\tat \S|  File \"[^\"\n]{1,300}\", line \d+|Traceback \(most|goroutine \d+ \[|Caused by: "
    r"|\s+\.\.\. \d+ (?:more|common frames)|\t\S{1,300}\.(?:go|s):\d+|created by \S|\tfrom \S{1,300}:\d+"
    r"|#\d+ +(?:0x|/|\{main\}|\[internal|[\w:~<>.]{1,200} ?\()|\s+\d+: \S{1,200}::|   --- End of"
    r"|(?:stack backtrace|Stack trace):\s*\Z"
)
"""A line within a trace, of Python, Java and .NET, JavaScript, Go, Ruby, PHP, Rust, gdb."""
_GO_CALL = re.compile(r"created by \S|[\w./*-]{1,200}(?:\([\w*.]{1,80}\)[\w.]{1,80})?\([^()\n]{0,200}\)\s*\Z")
_GO_BEGINS = re.compile(r"panic: |fatal error: |goroutine \d+ \[|\[signal ")
_CHAINED = re.compile(r"(?:During handling of the above exception|The above exception was the direct cause)")
PREFIX = re.compile(r"[\w.-]{1,80} +\| ")
"""The service that a line of ``docker compose logs`` is of."""
_PRINTED = re.compile(
    r"=== (?:RUN|PAUSE|CONT|NAME) |\s*--- (?:PASS|FAIL|SKIP): |(?:ok|FAIL|---|\?) {0,3}\t\S|(?:PASS|FAIL)\s*\Z"
    r"|(?:test|running) \S.{0,200}(?: \.\.\. \w+| tests?)\s*\Z|test result: | ?(?:PASS|FAIL) {1,3}\S"
    r"|\S{1,200}::\S{1,300} (?:PASS|FAIL|SKIP|ERROR|XFAIL|XPASS)|\S{1,200}\.py [.FEsxX]+(?:\s|\Z)|E {3}\S"
    r"|_{3,} .{1,200} _{3,}\s*\Z|={3,} .{1,200} ={3,}\s*\Z|(?:PASSED|FAILED|SKIPPED|ERROR) \S"
    r"|\[ {0,2}\d{1,3}(?:%|/\d{1,6})\]|make(?:\[\d+\])?: "
    r"|\S{1,300}?[:(]\d{1,7}(?:[:,]\d{1,7})?\)?: (?:fatal )?(?:error|warning|note)\b"
    r"|\s+(?:Compiling|Checking|Downloading|Downloaded|Running|Finished|Fresh|Building|Installing|Updating|Blocking) \S"
    r"|npm (?:WARN|ERR!|warn|error|notice|timing|info|http)|(?:Get|Hit|Ign|Err):\d+ "
    r"|(?:Unpacking|Preparing to unpack|Setting up|Selecting|Collecting|Requirement already|Using cached|Step \d+/\d+|Downloading"
    r"|Installing collected|Building wheel) \S|#\d+ (?:\[|\d+\.\d+ |DONE|CACHED|ERROR|sha256:)"
    r"|\s*[✓✔✗✘✕×√●] \S|> Task :|\[(?:INFO|WARNING|ERROR)\]"
)
_BLOCK = re.compile(r"_{3,} \S.{0,200} _{3,}\s*\Z|---- \S.{0,200} (?:stdout|stderr) ----\s*\Z")
_BLOCK_ENDS = re.compile(r"_{3,} \S.{0,200} _{3,}\s*\Z|={3,} .{1,200} ={3,}\s*\Z|---- |failures:\s*\Z")
_SESSION = re.compile(r"={3,} test session starts ={3,}")


def is_printed(line: str) -> bool:
    """True for a line as tests, compilers, package managers and builds print them."""
    return _PRINTED.match(line) is not None


def is_of_trace(line: str) -> bool:
    """True for a line that stands in traces: a frame of any language, or what a trace of Go has beside."""
    return FRAME.match(line) is not None or _GO_BEGINS.match(line) is not None


def is_session(line: str) -> bool:
    """True for the line with which pytest begins."""
    return _SESSION.match(line) is not None


def trace_end(lines: Sequence[str], at: int) -> int:
    """Where the trace, or the account of a failed test, ends that begins with line ``at``; 0 where none begins there."""
    line = lines[at][:400]
    if line.startswith("Traceback (most"):
        return _end_of_python(lines, at)
    if line.startswith(("panic: ", "fatal error: ")):
        goroutine = next((n for n in range(at + 1, min(at + 8, len(lines))) if lines[n].startswith("goroutine ")), 0)
        return _end_of_goroutine(lines, goroutine) if goroutine else 0
    if line.startswith("goroutine ") and FRAME.match(line):
        return _end_of_goroutine(lines, at)
    if _BLOCK.match(line):
        end = at + 1
        while end < len(lines) and not _BLOCK_ENDS.match(lines[end][:400]):
            end += 1
        return end
    return 0


def _end_of_python(lines: Sequence[str], at: int) -> int:
    """After the error's own line, and after those of the errors that came of it."""
    end = at + 1
    while end < len(lines) and lines[end][:1].isspace():
        end += 1
    end = min(end + 1, len(lines))
    after = end + 2
    if after < len(lines) and not lines[end].strip() and _CHAINED.match(lines[end + 1][:80]):
        while after < len(lines) and not lines[after].strip():
            after += 1
        if after < len(lines) and lines[after].startswith("Traceback (most"):
            return _end_of_python(lines, after)
    return end


def _end_of_goroutine(lines: Sequence[str], at: int) -> int:
    end = at + 1
    while end < len(lines) and (lines[end][:1] == "\t" or _GO_CALL.match(lines[end][:400])):
        end += 1
    return end
