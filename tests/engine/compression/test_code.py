"""Which functions of a program stay, by what was asked."""

from __future__ import annotations

import pytest

from nexscout_cli.engine.compression.code import shorten
from nexscout_cli.engine.compression.code_parts import parts_of
from nexscout_cli.engine.compression.code_words import STEMS, pieces
from nexscout_cli.engine.compression.structure import kind_of

STEPS = "".join(f"        step_{n} = self.turn({n})\n" for n in range(12))


def method(name: str, body: str = "") -> str:
    return f"    def {name}(self, town):\n{body}{STEPS}\n"


PYTHON = (
    "import os\n\n# Nobody reads this long line about the licence of all that follows.\n# Nor this, which is long.\n"
    "LIMITS = {\n" + "".join(f'    "limit_{n}": {n},\n' for n in range(20)) + "}\n\n\n"
    "class Market:\n"
    + method("open_stall")
    + method("sumprices", "        total = 0\n")
    + method("delete_all")
    + method("paint")
    + "\n\nclass Harbour:\n"
    + method("open_stall", "        # waits for the tide\n")
    + method("retry_later")
    + method("moor", '        """Tie a ship to the quay.\n\n' + "        A rope is needed.\n" * 14 + '        """\n')
)


def body_of(code: str, owner: str, name: str) -> str:
    lines = code.split("\n")
    part = next(p for p in parts_of(code, lines) if p.name == name and p.owner.strip() == owner)
    return "\n".join(lines[part.start : part.end])


@pytest.mark.parametrize(
    ("question", "owner", "name"),
    [
        ("Where are entries removed?", "Market", "delete_all"),  # a word that means the same
        ("Which code adds up prices?", "Market", "sumprices"),  # a part of a joined name
        ("How does a retry work?", "Harbour", "retry_later"),
        ("Who ties ships?", "Harbour", "moor"),  # its docstring
        ("What does paint do?", "Market", "paint"),
        ("What does Harbour.open_stall do?", "Harbour", "open_stall"),
        ("What happens with the tide?", "Harbour", "open_stall"),  # a comment
        ("Where does somebody purge everything?", "Market", "delete_all"),
        ("How is the picture of the market drawn?", "Market", "paint"),  # the trade's words for one thing
    ],
)
def test_the_function_that_a_question_is_about_stays_whole(question: str, owner: str, name: str) -> None:
    short = shorten(PYTHON, question, 0.35)
    assert len(short) < 0.42 * len(PYTHON)
    lines = [line for line in body_of(PYTHON, owner, name).split("\n") if "A rope" not in line]
    assert "\n".join(lines[-12:]) in short
    assert all(
        f"    def {part.name}(self, town):" in short
        for part in parts_of(PYTHON, PYTHON.split("\n"))
        if part.kind == "function"
    )


def test_of_a_function_that_does_not_fit_with_its_long_docstring_the_first_line_of_that_stays() -> None:
    short = shorten(PYTHON, "What does moor do?", 0.2)
    assert '"""Tie a ship to the quay.\n        [… 1' in short and "A rope" not in short


def test_what_does_something_stays_before_values_that_share_more_words() -> None:
    values = "".join(f"TOWN_LIMIT_FOUND_{n} = {n}{n}{n}{n}\n" for n in range(20))
    code = f"import os\n\n{values}\n\ndef town_limit(town):\n" + "".join(f"    a_{n} = town * {n}\n" for n in range(20))
    code += "\n\n" + "".join(f"def other_{n}(a):\n" + "    a += 1\n" * 30 + "\n\n" for n in range(5))
    short = shorten(code, "Where is the limit of a town found?", 0.3)
    assert "    a_19 = town" in short and "TOWN_LIMIT_FOUND_19" not in short


def test_each_cut_says_how_many_lines_and_with_them_the_program_is_as_long_as_before() -> None:
    short = shorten(PYTHON, "What does paint do?", 0.3)
    gone = [int(piece.split(" ")[0]) for piece in short.split("[… ")[1:]]
    on_own_line = sum(line.lstrip().startswith("[… ") for line in short.split("\n"))
    assert short.count("\n") - on_own_line + sum(gone) == PYTHON.count("\n")


RUST = (
    "use std::io;\n\n"
    + "impl Stack {\n"
    + "".join(
        f"    /// {said}\n    #[inline]\n    pub fn {name}(\n        &self,\n        town: &str,\n    ) -> u8 {{\n"
        + "".join(f"        let x{n} = {n};\n" for n in range(12))
        + "    }\n\n"
        for name, said in (
            ("push_one", "Adds."),
            ("weigh", "Says how heavy it is."),
            ("paint", "Colours it."),
            ("sell", "Sells."),
        )
    )
    + "}\n"
)
RUBY = (
    "require 'x'\n\nclass Stack\n"
    + "".join(
        f"  def {name}(town)\n" + "".join(f"    x{n} = {n}\n" for n in range(12)) + "  end\n\n"
        for name in ("push", "weigh", "paint", "sell")
    )
    + "end\n"
)
C = "#include <x.h>\n\n" + "".join(
    f"static int\n{name}(int a)\n{{\n" + "".join(f"    b{n} = {n};\n" for n in range(12)) + "}\n\n"
    for name in ("push_one", "weigh", "paint", "sell")
)


@pytest.mark.parametrize("code", [RUST, RUBY, C], ids=["rust", "ruby", "c"])
def test_other_languages_are_read_by_their_blocks(code: str) -> None:
    short = shorten(code, "How is it weighed?", 0.6)
    lines = code.split("\n")
    part = next(p for p in parts_of(code, lines) if p.name == "weigh")
    assert "\n".join(lines[part.head : part.end]) in short
    assert short.count("[… 12 lines]") == 3
    assert all(f"{name}(" in short for name in ("push", "paint", "sell") if code is not RUST and code is not C)


def test_words_of_joined_names_meet_those_of_a_question() -> None:
    assert [STEMS[word] for word in pieces("maxRetries max_retries")] == [STEMS[w] for w in ("max", "retries")] * 2
    assert STEMS["validation"] == STEMS["validate"] == STEMS["validators"]


def many(count: int) -> str:
    return "import os\n\n" + "".join(
        f"def visit_{name}(\n    first_town,\n    second_town,\n    third_town,\n):\n    x = first_town + second_town\n"
        f"    return pack_{name}(x, third_town)\n\n\n"
        for name in [f"number{n}" for n in range(count // 2)] + ["harbour"] + [f"other{n}" for n in range(count // 2)]
    )


def test_where_signatures_leave_no_room_those_that_bear_least_go_and_their_names_are_said() -> None:
    code = many(60)
    short = shorten(code, "How is the harbour visited?", 0.3)
    assert len(short) < 0.32 * len(code)
    assert "def visit_harbour(" in short and "return pack_harbour(x, third_town)" in short and "import os" in short
    assert "lines: visit_" in short
    assert all(f"visit_number{n}" in short for n in range(30)), "each is named at least"


def test_a_question_in_other_words_than_the_programs_finds_the_function() -> None:
    """No word of the question stands in the function; what they mean is learned from other programs."""
    names = ("weigh_barrel", "paint_tower", "stop_listener", "count_lanterns", "sell_orchard", "open_ledger")
    code = "import os\n\n" + "".join(
        f"def {name}(thing):\n" + "".join(f"    thing.step{n}({n})\n" for n in range(12)) + "\n\n" for name in names
    )
    short = shorten(code, "Where is everything shut down?", 0.4)
    part = code[code.index("def stop_listener") : code.index("def count_lanterns")]
    assert part.rstrip() in short and short.count("thing.step7") == 1


SERVICE = "import os\n\n\nclass Shop:\n" + "".join(
    method(name)
    for name in (
        "evict_entry",
        "raise_for_status",
        "paint_wall",
        "detect_colour",
        "resize_hall",
        "find_street",
        "sink_ship",
    )
)


@pytest.mark.parametrize(
    ("question", "name"),
    [
        ("Where is something forgotten?", "evict_entry"),
        ("Where does it complain about an answer?", "raise_for_status"),
        ("Where does the hall grow?", "resize_hall"),
        ("How does it find out the hue?", "detect_colour"),  # and not what begins with "find"
    ],
)
def test_everyday_words_and_phrases_find_the_function_that_programs_name_otherwise(question: str, name: str) -> None:
    assert body_of(SERVICE, "Shop", name) in shorten(SERVICE, question, 0.3)


@pytest.mark.parametrize(
    ("question", "name"), [("Where is the tide read?", "read_tide"), ("What tests the tide?", "test_read_tide")]
)
def test_a_test_counts_less_than_what_it_tries_unless_tests_are_asked_for(question: str, name: str) -> None:
    code = "import os\n\n\nclass Sea:\n" + "".join(
        method(one) for one in ("test_read_tide", "read_tide", "turn_wheel", "wash_deck", "count_fish", "mend_net")
    )
    assert body_of(code, "Sea", name) in shorten(code, question, 0.25)


RESCUED = """require 'set'

module Mill
  class Wheel
    def [](name)
      @parts.fetch(name)
    end

    def turn(times)
      @motor.start(times)
    rescue Stuck => error
      warn error.message
    ensure
      @motor.stop
    end
  end
end
"""
LABELLED = """#include <stdio.h>

extern int
main(void)
{
    int left = read_all();
#ifdef SLOW
    sleep(left);
#endif
again:
    if (left)
        goto again;
    return left;
}

static void spare(int a)
{
    puts("}");
}
"""
CPP = """namespace mill {
class Wheel {
public:
    void turn(int times)
    {
        motor.start(times);
        motor.stop();
    }
private:
    int weigh() {
        int sum = 1;
        return sum;
    }
};
}
"""
JAVASCRIPT = (
    """(function () {
  'use strict';

  class Wheel {
    #turn (times) {
      start(times);
      return stop();
    }
  }

  function weigh(wheel) {
    const sum = `{${wheel.sum}`;
    return sum;
  }

  function paint(wheel) {
    wheel.colour = 'red';
    return wheel;
  }
"""
    + "\n".join(f"  var place{n} = {n};" for n in range(12))
    + "\n}());\n"
)
JAVA = """package mill;

class Wheel {
    public void turn(int times,
            String name, boolean back) throws Stuck {
        motor.start(times);
        motor.stop();
    }
}
"""


@pytest.mark.parametrize(
    ("code", "name", "last"),
    [
        (RESCUED, "turn", "      @motor.stop"),
        (LABELLED, "main", "    return left;"),
        (LABELLED, "spare", '    puts("}");'),
        (CPP, "turn", "        motor.stop();"),
        (CPP, "weigh", "        return sum;"),
        (JAVASCRIPT, "turn", "      return stop();"),
        (JAVASCRIPT, "weigh", "    return sum;"),
        (JAVASCRIPT, "paint", "    return wheel;"),
        (JAVA, "turn", "        motor.stop();"),
    ],
)
def test_a_function_ends_where_its_language_ends_it(code: str, name: str, last: str) -> None:
    lines = code.split("\n")
    part = next(part for part in parts_of(code, lines) if part.name == name)
    assert lines[part.end - 1] == last
    assert kind_of(code) == "code"


def test_comments_with_number_signs_do_not_make_markdown_of_a_program() -> None:
    code = "<?php\n# Copyright of somebody\n# All rights reserved\n" + "\n".join(
        f"$mill_{n} = turn({n});" for n in range(9)
    )
    assert kind_of(code) == "code"
