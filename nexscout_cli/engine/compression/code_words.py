"""The words of programs and of questions about them: names taken apart, endings taken off, and words that mean the same there.

``maxRetries``, ``max_retries`` and "the most retries" have words in common then.
"""

from __future__ import annotations

import re

from nexscout_cli.engine.compression.relevance import PLAIN

_PIECE = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_a-zA-Z]+|\d+")
_ENDING = re.compile(r"(?:at(?:ions?|ors?|ing|ed?|es)|ions?|ings?|ed|ers?|ors?|ments?|able|ible|ly|ive|al)\Z")
_SHORTEST = 4
"""Letters that an ending leaves at least."""

_SAME = """
    convert to into as transform cast turn translate
    check is has whether validate verify ensure assert test valid can must
    remove delete del pop discard strip drop clear unlink rm purge uninstall erase
    create make new build init construct generate mkdir initialize setup produce prepare
    get fetch retrieve find lookup obtain search locate
    set assign update put change modify
    write save dump store serialize persist export flush encode
    read load parse deserialize import decode
    send post emit publish dispatch notify push deliver
    print display show format render repr
    start begin open launch run execute invoke call spawn enter
    stop end close shutdown terminate kill exit finish cancel abort quit
    add append insert register extend attach include join
    length size len count number num amount many total
    directory dir folder
    path file filename
    message msg
    error err exception exc raise fail failure
    config cfg conf configuration setting option opt
    parameter param argument arg kwargs
    string str text
    integer int number
    function func fn callable callback method
    database db
    authenticate auth login credential password token
    command cmd
    request req
    response resp res reply
    environment env environ
    variable var
    value val
    index idx
    source src
    destination dst dest target
    temporary tmp temp
    maximum max largest most limit highest
    minimum min smallest least lowest
    previous prev last
    current cur now
    attribute attr property field
    object obj instance
    context ctx
    iterate iter each loop generator yield every
    retry again repeat attempt backoff
    wait sleep delay timeout
    equal eq same compare match
    list sequence array
    dictionary dict mapping
    random rand shuffle
    position pos offset
    character char
    information info
    connect connection conn
    session sess
    document doc
    merge combine join concat
    split separate partition chunk
    copy clone duplicate
    order sort rank
    compute calculate calc evaluate
    escape quote
    lock acquire
    unlock release
    remaining left rest
    default fallback
    money pay payment charge price cost cents amount fee bill invoice billing
    buy purchase order checkout cart basket
    discount voucher coupon rebate
    refund reimburse chargeback
    customer client user account member person somebody people who
    reserve book booking reservation seat place
    login logon signin session authenticate
    logout signout
    permission permit allow access right authorize grant role privilege
    forbid deny refuse reject block ban
    expire stale idle old outdated timeout unused ttl
    evict prune expel throw remove purge
    secret password passphrase key credential
    encrypt cipher decrypt crypto
    hash digest checksum fingerprint sha md5
    sign signature hmac
    network http socket connection tcp
    upload send transfer
    download fetch pull
    throttle rate limit bucket quota
    queue job task work worker
    thread process worker concurrent parallel
    schedule cron timer periodic every
    shrink resize scale small large thumbnail
    picture image photo pixel bitmap
    draw paint render plot canvas
    color colour rgb hue
    archive zip tar backup compress pack gzip
    unpack unzip extract decompress inflate
    rename move rotate
    special escape sanitize harmless safe clean
    html page markup tag
    notice watch detect observe monitor notify event
    change diff modify differ edit dirty
    pick choose select best
    rank score weight relevance
    search query lookup match
    guess predict estimate infer detect
    language locale lang translate i18n
    word token term
    mail email smtp message inbox
    template render layout
    disk file storage
    memory ram heap buffer
    cache memo remember store
    log journal audit record trace
    date time day clock timestamp now calendar
    zone timezone utc
    round truncate floor ceil
    average mean median
    sum total add
    spread variance deviation
    distance length metric
    shortest route path dijkstra
    node vertex tree graph
    edge link neighbour neighbor adjacent
    parent ancestor owner
    child descendant sub nested
    root top base
    matrix grid table
    row record line tuple
    column field cell
    header heading title
    comment remark note
    parse token lexer scan
    syntax grammar expression ast
    compile build
    invalid wrong bad malformed corrupt broken
    missing absent none null empty
    unique distinct duplicate dedupe
    filter keep where
    group bucket cluster partition
    reverse invert flip backwards
    swap exchange
    flatten unnest
    pad fill align justify
    wrap fold
    trim strip whitespace blank
    upper capital case lower
    quit exit leave bye
    crash panic abort fatal
    undo revert rollback restore
    commit apply finish
    migrate upgrade version schema
    subscribe listen register
    broadcast publish emit
    server host daemon
    url link address uri
    cookie header
    redirect forward
    proxy relay gateway
    port socket address
    ping heartbeat health alive
    balance distribute spread
    sample random pick
    probability chance likelihood
    train fit learn
    test try probe
    mock fake stub
    plugin extension addon
    load boot startup
    help usage
    ask prompt input question
    answer reply response
    screen display terminal window
    button click press
    sound audio volume
    number digit numeric int float decimal
    negative minus
    fraction ratio share percent percentage
    price quote rate
    stock inventory supply
    ship deliver dispatch shipping
"""
_COMMON_WORDS = """
    done happen function method class code file module program line here return returns given use uses
"""
_COMMON = frozenset(_COMMON_WORDS.split())


def pieces(text: str) -> list[str]:
    """The words of a text in their order, those of joined names apart; of two letters or more, in lower case."""
    return [piece.lower() for piece in _PIECE.findall(text) if len(piece) > 1]


def is_common(word: str) -> bool:
    """True for a word that is in most questions about programs and says little of what is looked for."""
    return word in PLAIN or word in _COMMON


class _Stems(dict[str, str]):
    """The stem of each word that was asked for."""

    most = 50_000

    def __missing__(self, word: str) -> str:
        if len(self) >= self.most:
            self.clear()
        self[word] = found = _stem(word)
        return found


def _stem(word: str) -> str:
    if len(word) < _SHORTEST:
        return word
    if word.endswith("ies"):
        word = word[:-3] + "y"
    elif word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    bare = _ENDING.sub("", word)
    if len(bare) >= _SHORTEST or (len(bare) == _SHORTEST - 1 and word.endswith("ed")):
        word = bare
    if len(word) >= _SHORTEST and word[-1] == word[-2] and word[-1] not in "sl":
        word = word[:-1]
    if len(word) >= _SHORTEST and word.endswith("e"):
        word = word[:-1]
    return word[:-1] + "i" if len(word) >= _SHORTEST and word.endswith("y") else word


STEMS = _Stems()


def _same() -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for line in _SAME.split("\n"):
        group = {STEMS[word] for word in line.split()}
        for stem in group:
            found.setdefault(stem, set()).update(group - {stem})
    return {stem: frozenset(others) for stem, others in found.items()}


ALIKE = _same()
"""For a stem those that mean about the same in programs."""
