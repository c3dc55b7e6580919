"""Mail: each message with its headers, what is quoted again once, signatures once; of long ones the sentences that matter."""

from __future__ import annotations

import re

from nexscout_cli.engine.compression.cuts import mark, number
from nexscout_cli.engine.compression.extract import extract

_HEADER = re.compile(
    r"(?<=From: )|(?<=Date: )|(?<=Subject: )|(?<=To: )|(?<=Sent: )|(?<=Von: )|(?<=Gesendet: )|(?<=An: )|(?<=Betreff: )"
    r"|(?<=De: )|(?<=À: )|(?<=Objet: )|(?<=Asunto: )|(?<=Para: )"
)
_QUOTES = re.compile(r"[>|\s]*>\s?")
_PARTS = re.compile(
    r"^Content-(?:Type: multipart/|Transfer-Encoding: (?:base64|quoted-printable))", re.IGNORECASE | re.MULTILINE
)
MIN_QUOTED = 2
"""Lines that were said before from which a quotation is left out."""


def shorten(text: str, question: str, keep: float) -> str:
    """The mail with at most about ``keep`` (0..1) of its characters."""
    short = _said_once(_decoded(text))
    if len(short) > keep * len(text):
        short = extract(short, question, keep * len(text) / len(short), _HEADER)
    return short if len(short) < len(text) else text


def _decoded(text: str) -> str:
    """A message whose parts are encoded as its headers and its text; any other as it is."""
    if not _PARTS.search(text[:20_000]):
        return text
    from email import message_from_string, policy

    try:
        message = message_from_string(text, policy=policy.default)
        body = message.get_body(("plain", "html"))
        content = body.get_content() if body else None
        headers = [f"{name}: {message[name]}" for name in ("From", "To", "Date", "Subject") if message[name]]
    except (LookupError, ValueError, TypeError, AttributeError, RecursionError):
        return text
    if not isinstance(content, str):
        return text
    if body is not None and body.get_content_type() == "text/html":
        from nexscout_cli.engine.compression.html_text import main_text

        content = main_text(content)
    others = [part.get_filename() or part.get_content_type() for part in message.iter_attachments()]
    left_out = [mark(f"{number(len(others), 'attachment')}: {', '.join(others)}")] if others else []
    return "\n".join([*headers, "", content.rstrip(), *left_out, ""])


def _said_once(text: str) -> str:
    """Without quoted lines that stand before or were quoted before, and without signatures that stood before."""
    lines = text.split("\n")
    own = {line.strip() for line in lines if not _QUOTES.match(line) and line.strip()}
    seen: set[str] = set()
    result: list[str] = []
    run: list[str] = []
    for line in [*lines, None]:
        quoted = line is not None and _QUOTES.match(line[:200])
        bare = "" if line is None else line[quoted.end() :].strip() if quoted else line.strip()
        if quoted and line is not None and (not bare or bare in own or bare in seen):
            run.append(line)
            continue
        if len([one for one in run if one.strip("> |\t")]) >= MIN_QUOTED:
            result.append(mark(f"{number(len(run), 'quoted line')}, said elsewhere"))
        else:
            result += run
        run = []
        if line is not None:
            result.append(line)
            if quoted:
                seen.add(bare)
    return _signed_once(result)


def _signed_once(lines: list[str]) -> str:
    """A signature follows a line of two hyphens and a blank (RFC 3676, 4.3) and ends with the next empty line."""
    seen: set[str] = set()
    result: list[str] = []
    at = 0
    while at < len(lines):
        end = at
        if lines[at].rstrip() == "--":
            while end < len(lines) and lines[end].strip():
                end += 1
        signature = "\n".join(lines[at + 1 : end])
        if end > at + 1 and signature in seen:
            result.append(mark(f"signature, {number(end - at, 'line')}"))
            at = end
            continue
        seen.add(signature)
        result.append(lines[at])
        at += 1
    return "\n".join(result)
