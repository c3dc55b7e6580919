"""Step 4: a request's texts as they are sent: shorter where that is safe, and never such that the call gets dearer.

``off`` sends everything as it is. ``lossless`` leaves out what carries no meaning. ``extract`` also leaves out what does
not bear on the question, of each text in the way of its kind (:mod:`nexscout_cli.engine.compression.by_structure`): of a
context, of attachments, and of a long text in the prompt that stands between or after short paragraphs. The question itself
and instructions always stay. ``auto`` is lossless from ``compression.min_tokens`` on or while energy is low, and extracts
where the call would be refused for its size, or energy is low and the text is large: both only while what extraction keeps
reaches ``routing.quality_target``, and nobody asks about form.

Providers bill a prompt's beginning at a fraction when it is 1,024 tokens or more and was sent before (LiteLLM's table has
the price as ``cache_read_input_token_cost``). So what recurs at the head of a user's prompts is sent as it was, and the
saving is of the rest alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from nexscout_cli.engine.compression.head_hashes import recurring_heads
from nexscout_cli.engine.plan_types import Compression

if TYPE_CHECKING:
    from nexscout_cli.config import Settings
    from nexscout_cli.engine.request import AIRequest
    from nexscout_cli.engine.snapshot import Snapshot

Count = Callable[[str, str], tuple[int, bool]]

SURVIVES = ((0.5, 0.95), (0.3, 0.80))
"""(keep, share of answers that are still there), as ``scripts/bench/compress`` measures it of the kind that keeps least.

That is code, asked by what a function is for; all else keeps 92% at 0.3. Questions that were written to be hard for it
(``scripts/bench/code_questions``) keep less: docs/benchmarks.md has the figures.
"""

HOPELESS = 10
"""How many times more tokens than may be sent are refused as they stand: nothing here makes a text so much smaller, and
what it costs to try grows with the text. Extraction that was asked for tries as long as what it is to keep would do.
"""

KEEPS = (0.5, 0.3, 0.1)
"""Shares that are tried for what a refusal says of extraction."""

ROOM = 0.9
"""Share of the tokens a call may take that is for its texts; the rest is left to the answer."""

_TEXT_FILES = (".txt", ".text", ".md", ".markdown", ".rst", ".adoc", ".eml", ".srt", ".vtt", ".tex")


class CompressionChoice(NamedTuple):
    """How a request is to be made smaller: the mode asked for, and the share (0..1) of a text that extraction keeps."""

    mode: str
    keep: float


def compression_choice(request: AIRequest, settings: Settings) -> CompressionChoice:
    """What the request asks for, else the settings."""
    options = request.options
    keep = settings["compression.keep"] if options.keep is None else options.keep
    return CompressionChoice(options.compress or settings["compress"], float(keep))


def compress_texts(
    request: AIRequest,
    texts: tuple[str, ...],
    snapshot: Snapshot,
    settings: Settings,
    count: Count,
    choice: CompressionChoice | None = None,
) -> tuple[tuple[str, ...], Compression]:
    """The texts of a request (prompt, context, attachments) as they are sent, and what was saved."""

    def total(of: tuple[str, ...]) -> int:
        return sum(count(text, "")[0] for text in of)

    before = total(texts)
    mode, keep = choice or compression_choice(request, settings)
    low = snapshot.energy < settings["compression.low_energy"] * settings[f"tiers.{snapshot.tier}.energy"]
    large = before >= settings["compression.min_tokens"]
    nothing = Compression(False, before, before, ())
    most = settings["firewall.block_tokens"]
    if mode == "off" and before > ROOM * most and not _hopeless(before, mode, keep, settings):
        none = (0,) * len(texts)
        return texts, nothing._replace(could_be=_could_be(request, texts, texts, none, most, total))
    if mode == "off" or (mode == "auto" and not (low or large)) or _hopeless(before, mode, keep, settings):
        return texts, nothing
    heads = recurring_heads(request, snapshot.profile.prompt_heads, texts, count)
    if heads == tuple(map(len, texts)):
        return texts, nothing._replace(left_alone=before)

    shorter, saved = _lossless(request, texts, heads)
    after = total(shorter)
    if after >= before:
        shorter, after, taken = texts, before, {}
    else:
        taken = _shared_out(before - after, saved)
    found: tuple[str, ...] = ()
    scarce = low and large
    if mode == "extract" or (
        mode == "auto"
        and (after > most or scarce)
        and _good_enough(keep, settings)
        and not _asks_about_form(request, texts[0])
    ):
        chosen, kinds = _extracted(request, texts, shorter, heads, keep)
        then = total(chosen)
        if then < after and (mode == "extract" or scarce or then <= most):
            shorter, after, taken, found = chosen, then, taken | {"extract": after - then}, kinds
    left_alone = total(tuple(text[:head] for text, head in zip(texts, heads, strict=True)))
    could_be = _could_be(request, texts, shorter, heads, most, total)
    if after >= before:
        return texts, nothing._replace(left_alone=left_alone, could_be=could_be)
    done = "extract" if "extract" in taken else "lossless"
    return shorter, Compression(
        True, before, after, tuple(taken), done, tuple(taken.items()), left_alone, found, could_be
    )


def _lossless(
    request: AIRequest, texts: tuple[str, ...], heads: tuple[int, ...]
) -> tuple[tuple[str, ...], list[dict[str, int]]]:
    """The texts without what carries no meaning, and the characters that each step took from each of them."""
    from nexscout_cli.engine.compression.lossless import compress

    said = _said(request)
    results = [
        compress(text[head:], f"{said}\n{texts[0] if number else text[:head]}")
        for number, (text, head) in enumerate(zip(texts, heads, strict=True))
    ]
    shorter = tuple(text[:head] + tail for text, head, (tail, _) in zip(texts, heads, results, strict=True))
    return shorter, [saved for _, saved in results]


def _could_be(
    request: AIRequest,
    texts: tuple[str, ...],
    shorter: tuple[str, ...],
    heads: tuple[int, ...],
    most: int,
    total: Callable[[tuple[str, ...]], int],
) -> tuple[float, int] | None:
    """The share to keep at which texts that are too large would leave room for an answer, or the least there is; and the tokens.

    None for those that are small enough, and where extraction makes nothing of them.
    """
    now = total(shorter)
    if now <= ROOM * most:
        return None
    found = None
    for share in KEEPS:
        tokens = total(_extracted(request, texts, shorter, heads, share)[0])
        if tokens < now:
            found = (share, tokens)
        if tokens <= ROOM * most:
            break
    return found


def could_fit(
    request: AIRequest, sent: tuple[str, ...], compression: Compression, most: int, count: Count
) -> Compression:
    """The compression with what extraction would bring the texts to that were sent, for a model that takes ``most`` tokens."""
    if compression.tokens_after > HOPELESS * most:
        return compression

    def total(of: tuple[str, ...]) -> int:
        return sum(count(text, "")[0] for text in of)

    none = (0,) * len(sent)
    return compression._replace(could_be=_could_be(request, sent, sent, none, most, total))


def _asks_about_form(request: AIRequest, prompt: str) -> bool:
    from nexscout_cli.engine.compression.form import asks_about_form
    from nexscout_cli.engine.compression.prompt_parts import question, split

    return asks_about_form(f"{_said(request)}\n{question(split(prompt))}")


def _said(request: AIRequest) -> str:
    """What a request says beside its prompt and the texts it hands over."""
    parts = (request.goal, request.tone, request.options.system, *(one.content for one in request.messages))
    return "\n".join(filter(None, parts))


def _hopeless(tokens: int, mode: str, keep: float, settings: Settings) -> bool:
    most = settings["firewall.block_tokens"]
    return tokens > HOPELESS * most and not (mode == "extract" and keep * tokens <= most)


def _good_enough(keep: float, settings: Settings) -> bool:
    survives = next((share for least, share in SURVIVES if keep >= least), 0.0)
    return bool(survives >= settings["routing.quality_target"])


def _shared_out(tokens: int, saved: list[dict[str, int]]) -> dict[str, int]:
    """Tokens saved by all lossless steps, shared out by the characters that each took away."""
    characters: dict[str, int] = {}
    for its in saved:
        for step, size in its.items():
            characters[step] = characters.get(step, 0) + size
    left, shares = sum(characters.values()), {}
    for step, size in characters.items():
        shares[step] = round(tokens * size / left)
        tokens -= shares[step]
        left -= size
    return shares


def _extracted(
    request: AIRequest, texts: tuple[str, ...], shorter: tuple[str, ...], heads: tuple[int, ...], keep: float
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The texts without what does not bear on the question, each cut in the way of its kind, and those kinds.

    ``keep`` is of the text as it was given.
    """
    from nexscout_cli.engine.compression.by_structure import shorten
    from nexscout_cli.engine.compression.prompt_parts import INSTRUCTS, question, split
    from nexscout_cli.engine.compression.structure import kind_of

    asked = split(shorter[0])
    about = "\n".join((question(asked), request.goal or ""))
    sent = [shorter[0]]
    found: list[str] = []
    if asked.text and not heads[0]:
        room = len(texts[0]) - len(asked.before) - len(asked.after)
        share = keep * room / len(asked.text)
        short = shorten(asked.text, asked.kind, about, share, INSTRUCTS)
        found += [asked.kind] * (short != asked.text)
        sent = [asked.before + short + asked.after]
    readable = [isinstance(request.context, str), *(_is_text(a.name) for a in request.attachments)]
    for given, text, head, is_prose in zip(texts[1:], shorter[1:], heads[1:], readable, strict=True):
        kind = kind_of(text[head:])
        short = text[head:]
        if short and (kind != "prose" or is_prose):
            short = shorten(short, kind, about, keep * (len(given) - head) / len(short))
        found += [kind] * (short != text[head:])
        sent.append(text[:head] + short)
    return tuple(sent), tuple(dict.fromkeys(found))


def _is_text(name: str) -> bool:
    """True for the name of a file that holds prose, not data or code."""
    return "." not in name or name.lower().endswith(_TEXT_FILES)
