"""Texts of many entries of several lines are cut by whole entries."""

from __future__ import annotations

import pytest

from nexscout_cli.engine.compression.by_structure import shorten
from nexscout_cli.engine.compression.structure import kind_of

COUNT = 60
SRT = "".join(f"{n}\n00:00:{n:02},000 --> 00:00:{n:02},900\nThe ship {n}\nwent down\n\n" for n in range(1, COUNT))
VTT = "WEBVTT\n\n" + "".join(f"00:{n:02}.000 --> 00:{n:02}.900\nThe ship {n}\nwent down\n\n" for n in range(1, COUNT))
PO = 'msgid ""\nmsgstr ""\n"Language: de\\n"\n\n' + "".join(
    f'#: src/a.c:{n}\nmsgid "The ship {n}"\nmsgstr "Das Schiff {n}"\n\n' for n in range(1, COUNT)
)
GIT = "".join(
    f"commit {n:040x}\nAuthor: Ann <ann@example.org>\nDate:   Mon Mar 2 10:{n:02} 2026\n\n    Sink the ship {n}\n\n a.py | 2 +-\n"
    for n in range(1, COUNT)
)
XML = (
    '<?xml version="1.0"?>\n<ships>\n'
    + "".join(f'  <ship id="{n}">\n    <name>The ship {n}</name>\n  </ship>\n' for n in range(1, COUNT))
    + "</ships>\n"
)


@pytest.mark.parametrize("text", [SRT, VTT, PO, GIT, XML], ids=["srt", "vtt", "po", "git log", "xml"])
def test_an_entry_stays_whole_or_goes_whole_and_each_cut_says_how_many(text: str) -> None:
    assert kind_of(text) == "entries"
    short = shorten(text, "entries", "What about ship 47?", 0.3)
    assert len(short) < 0.35 * len(text)
    left = [line for line in short.split("\n") if not line.startswith("[… ")]
    lines = iter(text.split("\n"))
    assert all(line in lines for line in left), "in their order, none changed"
    gone = sum(int(line.split(" ")[1]) for line in short.split("\n") if line.startswith("[… "))
    marker = {SRT: "-->", VTT: "-->", PO: "#: src", GIT: "commit ", XML: "<ship id"}[text]
    assert gone + short.count(marker) == COUNT - 1
    assert "hip 47" in short and short.count(marker) == "\n".join(left).count("he ship ")


def test_what_stands_before_and_after_the_entries_stays() -> None:
    assert shorten(VTT, "entries", "What about ship 47?", 0.3).startswith("WEBVTT\n")
    assert shorten(XML, "entries", "What about ship 47?", 0.3).rstrip().endswith("</ships>")
    assert '"Language: de\\n"' in shorten(PO, "entries", "What about ship 47?", 0.3)


def test_nothing_is_cut_where_no_entry_bears_on_the_question() -> None:
    assert shorten(XML, "entries", "Why is it raining?", 0.3) == XML


def test_mail_is_told_by_the_names_that_other_languages_have_for_headers() -> None:
    german = "Von: Ann\nGesendet: Montag\nAn: Bert\nBetreff: Das Zelt\n\nDas Zelt kostet 20 Euro.\n\n" * 5
    spanish = "De: Ann\nPara: Bert\nAsunto: La carpa\n\nCuesta 20 euros.\n\n" * 5
    assert kind_of(german) == kind_of(spanish) == "mail"


def test_a_cell_of_several_lines_stays_whole() -> None:
    rows = "".join(f'{n},Ann{n},"one {n}\ntwo {n}"\n' for n in range(100))
    short = shorten(f"id,name,note\n{rows}", "table", "What is the note of id 77?", 0.3)
    assert '77,Ann77,"one 77\ntwo 77"\n' in short and len(short) < 0.4 * len(rows)
    assert all(f'"one {n}\ntwo {n}"' in short for n in range(100) if f'"one {n}\n' in short or f'\ntwo {n}"' in short)
