from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nexscout_cli.engine.compression.extract import CUT, extract
from nexscout_cli.engine.compression.relevance import words
from nexscout_cli.engine.compression.sentences import lines

HARBOUR = (
    "The harbour of Lindmouth was built in 1824. It was deepened twice. The pilots went on strike in 1911.\n\n"
    "The lighthouse keeper was Edna Marsh. She kept a diary for thirty years. It lies in the town archive.\n\n"
    "Herring was salted in long sheds. The sheds burnt down in 1902. Nobody rebuilt them. The fish went to Hull.\n\n"
    "A railway reached the town late. Its trains carried coal. The line closed in 1964. A path follows it now."
)
# (text, question, what must stay)
LANGUAGES = {
    "English": (HARBOUR, "Who kept the lighthouse?", "Edna Marsh"),
    "Chinese": (
        "北京是中华人民共和国的首都。它有超过两千万居民。\n\n长江是亚洲最长的河流，全长约6300公里。它流经十一个省级行政区。"
        "许多城市沿江而建。\n\n熊猫主要以竹子为食。它们生活在四川的山区。\n\n上海是中国最大的城市。港口非常繁忙。",
        "长江有多长？",
        "6300公里",
    ),
    "Japanese": (
        "東京は日本の首都です。人口は約1400万人です。\n\n富士山は日本で最も高い山で、標高は3776メートルです。多くの登山者が訪れます。"
        "\n\n寿司は人気のある料理です。米と魚で作ります。\n\n京都には多くの寺があります。秋は特に美しいです。",
        "富士山の高さは何メートルですか？",
        "3776メートル",
    ),
    "Korean": (
        "서울은 대한민국의 수도이다. 인구는 약 천만 명이다.\n\n한라산은 제주도에 있는 산이다. 높이는 1947미터이다."
        "\n\n김치는 배추로 만든다. 매운 맛이 난다.\n\n축구는 인기 있는 운동이다.",
        "한라산의 높이는 얼마인가?",
        "1947미터",
    ),
    "Thai": (
        "กรุงเทพมหานครเป็นเมืองหลวงของประเทศไทย มีประชากรมากกว่าแปดล้านคน\n\nช้างเป็นสัตว์บกที่ใหญ่ที่สุด พวกมันกินหญ้าและผลไม้วันละ 150 กิโลกรัม"
        "\n\nดอยอินทนนท์เป็นภูเขาที่สูงที่สุดในประเทศไทย มีความสูง 2565 เมตร\n\nแม่น้ำโขงไหลผ่านหลายประเทศในเอเชียตะวันออกเฉียงใต้",
        "ดอยอินทนนท์สูงเท่าไร",
        "2565",
    ),
    "German": (
        "Berlin ist die Hauptstadt Deutschlands. Sie hat 3,7 Millionen Einwohner.\n\nDer Rhein entspringt in den Alpen. "
        "Er mündet in die Nordsee. Seine Länge beträgt 1.233 Kilometer.\n\nDas Grundschulsystem wurde 1920 eingeführt. "
        "Kinder besuchen sie vier Jahre. Danach folgt eine andere Schule.\n\nDie Alpen sind hoch. Viele Menschen wandern dort.",
        "Wie viele Jahre besuchen Kinder die Schule?",
        "vier Jahre",
    ),
    "Spanish": (
        "Madrid es la capital de España. Tiene tres millones de habitantes.\n\nEl Quijote fue escrito por Miguel de Cervantes en "
        "1605. La novela tiene dos partes.\n\nEl fútbol es muy popular. Juegan los domingos.\n\n"
        "Los Pirineos separan España de Francia.",
        "¿Quién escribió el Quijote?",
        "Cervantes",
    ),
    "Arabic": (
        "القاهرة هي عاصمة مصر. يعيش فيها عشرون مليون نسمة.\n\nنهر النيل هو أطول نهر في أفريقيا. يبلغ طوله 6650 كيلومترا."
        "\n\nكرة القدم رياضة شعبية. يلعبها الأطفال في الشوارع.\n\nالصحراء الكبرى حارة جدا. الأمطار نادرة فيها.",
        "كم يبلغ طول النيل؟",
        "6650",
    ),
    "Hindi": (
        "दिल्ली भारत की राजधानी है। यहाँ दो करोड़ लोग रहते हैं।\n\nगंगा नदी हिमालय से निकलती है। इसकी लंबाई 2525 किलोमीटर है।"
        "\n\nक्रिकेट बहुत लोकप्रिय खेल है। बच्चे गलियों में खेलते हैं।\n\nताजमहल आगरा में है। इसे शाहजहाँ ने बनवाया।",
        "गंगा की लंबाई कितनी है?",
        "2525",
    ),
    "Russian": (
        "Москва — столица России. В ней живут двенадцать миллионов человек.\n\nБайкал — самое глубокое озеро в мире. Его глубина "
        "достигает 1642 метров.\n\nФутбол популярен. Играют везде.\n\nВолга впадает в Каспийское море.",
        "Какова глубина озера Байкал?",
        "1642",
    ),
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_answer_stays_in_half_a_text_in_every_language(language: str) -> None:
    text, question, answer = LANGUAGES[language]
    short = extract(text, question, 0.5)
    assert answer in short and CUT in short
    assert len(short.replace(CUT, "").encode()) <= 0.5 * len(text.encode())


def test_sentences_stay_whole_in_their_order_and_each_cut_is_marked_once() -> None:
    short = extract(HARBOUR, "When did the railway line close?", 0.4)
    kept = [piece.strip() for piece in re.split(r"\[…\]|\n", short) if piece.strip()]
    assert "The line closed in 1964." in short
    assert [HARBOUR.index(piece) for piece in kept] == sorted(HARBOUR.index(piece) for piece in kept)
    for piece in kept:
        end = HARBOUR.index(piece) + len(piece)
        assert piece.endswith(".") and HARBOUR[end : end + 1] in ("", " ", "\n")
    assert f"{CUT} {CUT}" not in short and f"{CUT}\n\n{CUT}" not in short


@pytest.mark.parametrize(
    ("text", "question"),
    [
        (HARBOUR, "Summarise this."),
        (HARBOUR, "Was ist das und wie?"),
        (HARBOUR, ""),
        ("One sentence about herring. Another one about herring. A third.", "What of the herring?"),
        ("", "Anything?"),
    ],
)
def test_nothing_is_cut_where_nothing_tells_the_sentences_apart(text: str, question: str) -> None:
    assert extract(text, question, 0.3) == text


def test_code_and_json_and_tables_in_a_text_stay_whole() -> None:
    fixed = [
        "```python\nif herring:\n    print('salt. Salt. Salt.')\n```",
        '{\n  "town": "Lindmouth",\n  "boats": [3, 4]\n}',
        "    make herring. Twice. Now.\n    make sheds",
    ]
    text = HARBOUR + "\n\n" + "\n\nThe end of it is near. It was told.\n\n".join(fixed) + "\n\nIt is over. Good night."
    short = extract(text, "Who kept the lighthouse?", 0.2)
    assert len(short) < len(text) and "Edna Marsh" in short
    for block in fixed:
        assert block in short


def test_a_quotation_or_bracket_is_never_cut_in_two() -> None:
    speech = 'Then Edna said: "I saw a ship. It was on fire. Nobody came."'
    text = f"{HARBOUR}\n\n{speech} The council (see p. 4. And p. 9.) did nothing. It slept."
    short = extract(text, "What did Edna say of the ship?", 0.3)
    assert speech in short
    for _, start, label, ends, _ in lines(text):
        for a, b in zip((label, *ends), ends, strict=False):
            assert text[a:b].count('"') % 2 == 0 and text[start:b].count("(") == text[start:b].count(")")


def test_a_speaker_and_a_heading_stay_with_what_they_head() -> None:
    talk = "\n".join(
        f"{name}: {said}"
        for name, said in [
            ("Ann", "Good morning. How are you all? The weather is dreadful."),
            ("Ben", "I think so too. The budget for the lighthouse is 400 pounds. We should keep it."),
            ("Ann", "Lunch is at noon. There is soup."),
            ("Cid", "The bus was late. I walked."),
        ]
    )
    assert "Ben: " in extract(talk, "What is the lighthouse budget?", 0.4)
    page = (
        "# Boats\n\nThey are small. They are blue. They leak.\n\n# Pilots\n\nTom Rhys led them. He was old. He swam.\n\n"
        "# Food\n\nSoup. Fish and bread."
    )
    short = extract(page, "Who led the pilots?", 0.5)
    assert "# Pilots" in short and "Tom Rhys led them." in short and "# Food" not in short


def test_a_sentence_that_leans_on_the_one_before_brings_it_along() -> None:
    text = (
        "Weather was fine on Monday and on Tuesday. Edna Marsh was keeper. She invented the foghorn in Lindmouth. "
        "Herring sold well that year in Hull. Sheds were long. Trains were slow. Coal was dear. Paths were muddy."
    )
    assert "Edna Marsh was keeper. She invented the foghorn" in extract(text, "Who invented the foghorn?", 0.5)


def test_what_is_pinned_stays_whatever_it_weighs() -> None:
    short = extract(HARBOUR, "Who kept the lighthouse?", 0.2, re.compile("salted"))
    assert "Herring was salted in long sheds." in short


def test_what_is_pinned_leaves_room_for_what_answers() -> None:
    text = HARBOUR.replace("\n\n", " Do not fish there, and do not swim or dive or row a boat there at night.\n\n")
    short = extract(text, "Who kept the lighthouse?", 0.3, re.compile("not"))
    assert short.count("Do not fish") == 3 and "Edna Marsh" in short and len(short) < len(text)


def test_of_two_passages_that_say_the_same_one_is_enough() -> None:
    said = "The keeper of the lighthouse at Lindmouth was Edna Marsh."
    lamp = "The lighthouse had a green lamp and a bell of bronze."
    text = f"{said} Coal was dear.\n\n{said} Tea was dear.\n\n{lamp} Rain fell.\n\nSoup was served."
    short = extract(text, "Tell of the lighthouse at Lindmouth and its lamp", 0.6)
    assert short.count("Edna Marsh") == 1 and "green lamp" in short


PIECES = [
    *(
        "Edna kept it. ",
        "The ship burnt. ",
        "“A. B.” ",
        "Mr. Ray left. ",
        "3.5 kg. ",
        "中文。",
        "ship? ",
        "Yes! ",
        "[…] ",
    ),
    *("\n", "\n\n", "Ann: ", "# Head\n\n", "- item\n", "| a | b |\n", '"', "(", "é́ ", "\u0e01 \u0e02 "),
    *("```\nx. y.\n```\n", '{"a": 1}\n', "    code. more.\n"),
]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=40).map("".join) | st.text(max_size=200)


@settings(max_examples=300, deadline=None)
@given(TEXTS, st.sampled_from(["ship Edna", "", "中文 left item"]), st.floats(0.1, 0.9))
def test_what_is_left_was_there_in_that_order_and_is_never_longer(text: str, question: str, keep: float) -> None:
    short = extract(text, question, keep)
    assert len(short) <= len(text)
    if short != text:
        at = 0
        for piece in short.replace(CUT, "\n").split("\n"):
            if piece.strip():
                at = text.replace(CUT, "   ").find(piece.strip(), at)
                assert at >= 0
                at += len(piece.strip())


@settings(max_examples=200, deadline=None)
@given(TEXTS)
def test_lines_cover_the_text_but_for_blanks(text: str) -> None:
    end = 0
    for line in lines(text):
        assert line.start >= end and not text[end : line.start].strip()
        assert list(line.ends) == sorted(line.ends) and line.start <= line.label <= line.ends[0]
        end = line.ends[-1]
    assert not text[end:].strip()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Dr. J. Smith met him in the U.S. on 3. May. He left.", 2),
        ("It cost 3.5 kg. and more. Then!? Yes… no.", 3),
        ("Das kostet z. B. 5 Euro. Gut so.", 2),
        ("他来了。她走了！真的吗？", 3),
        ("यह एक है। वह दो है।", 2),
    ],
)
def test_sentences_end_where_a_reader_ends_them(text: str, found: int) -> None:
    assert sum(len(line.ends) for line in lines(text)) == found


def test_writing_without_blanks_is_taken_by_pairs() -> None:
    assert words("长江有 River") == ["长江", "江有", "river"]


@pytest.mark.parametrize(
    "piece", ["A. ", ".", '"', "(", "Ann: x\n", "word ", "字", "[1](", "- \n", "ship. \n\n", "\u0e01 "]
)
def test_a_hostile_text_takes_little_time(piece: str) -> None:
    started = time.process_time()
    extract(piece * (200_000 // len(piece)), "ship word Ann", 0.5)
    assert time.process_time() - started < 6
