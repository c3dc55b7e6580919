"""Words that say one thing together: "find out whether" looks for a check, not for ``find``; "thrown away" is ``discard``.

Each phrase of a question is put in the words that programs have for it before its words are weighed one by one.
"""

from __future__ import annotations

import re

_PHRASES = """
    what happens when|what happens if|what happens: on handle
    find out|finds out|found out|figure out|figured out|figures out: detect check
    tell whether|tells whether|tell if|know whether|knows whether|know if|see whether|see if: is check
    tell apart|told apart|tells apart|distinguish between: detect type
    make sure|makes sure|made sure|be sure: ensure check
    work out|works out|worked out: compute resolve
    make up|made up: generate
    make up for|allow for: adjust
    how many|the number of|how often: count
    how much: size amount
    how long: duration timeout length
    how large|how big: size
    how far: progress distance
    too many|too much|too large|too big|too long|too often: max limit exceed
    at most|no more than|as much as: max limit
    at least|no less than: min
    more than one|more than a single|more than once: multiple duplicate
    once more|one more time|try again|tried again|tries again|over again: retry
    get rid of|gets rid of|got rid of|rid of: remove delete cleanup
    throw away|throws away|thrown away|throw out|thrown out: discard remove clear
    take away|taken away|take off|taken off|take out|taken out|pull out|pulled out|cut away|cut off: strip remove extract
    take apart|taken apart|takes apart|break up|broken up|break down|broken down: parse split
    take over|taken over|takes over: acquire replace
    take from|taken from: get pop
    take in|taken in|take up: accept receive
    put together|puts together: build merge join
    put off|puts off: defer delay
    put back|puts back: restore release
    put in place|put into place: install setup
    set up|sets up|setting up: setup init configure
    set off|sets off: trigger start
    shut down|shuts down|shutting down: shutdown stop close
    switch off|switched off|turn off|turned off|turns off: disable
    switch on|switched on|turn on|turned on|turns on: enable
    turn into|turned into|turns into|made into|make into|becomes: convert to
    turn away|turned away|turn down|turned down: reject abort
    look up|looked up|looks up|looking up: lookup get find
    look for|looked for|looks for|search for|searched for: find search
    look after|looked after|take care of|taken care of|deal with|dealt with|deals with: handle manage
    look at|looked at|looks at: inspect check
    look like|looks like: match format
    go through|gone through|goes through|go over|gone over|run through: iterate walk
    go on|goes on|carry on|carried on|pick up again: resume continue
    go back|goes back: back undo
    go wrong|goes wrong|went wrong: error fail
    carry out|carried out|carries out: run execute
    start over|started over|begin again: reset restart
    start up|starts up|started up|bring up: start
    give up|gives up|given up: abort cancel timeout
    give back|given back|gives back|hand back|handed back: return release
    hand over|handed over|hand on|handed on|pass on|passed on|passes on: forward send
    leave out|left out|leaves out|keep out|kept out: exclude skip hide
    leave behind|left behind|left over: remaining stale cleanup
    keep track|keeps track|kept track: track
    keep alive|kept alive|stay open|stays open: keepalive
    keep from|kept from: prevent
    run out|runs out|ran out: exhaust expire
    run into|ran into: error
    time out|timed out|times out|take too long|takes too long: timeout
    log in|logs in|logged in|sign in|signed in: login auth
    log out|logged out|sign out|signed out: logout
    sign up|signed up: register
    back off|backs off: backoff
    read back|reads back|bring back|brought back|get back: load restore
    write down|written down|writes down: write save
    write out|written out: write dump
    line by line|one by one|one after another|one at a time|step by step: iterate
    all at once|at once|at the same time|in one go: batch multi concurrent
    up to date: update current
    out of date: stale outdated
    no longer: expired removed
    not found|not there|is missing: missing notfound
    in use: active
    cut in two|cut in half: split
    cut short|cut down: truncate
    fill in|filled in|fills in: fill default
    fall back|falls back|fell back: fallback default
    point to|points to|pointed to: ref
    belong together|belongs together: group
    come from|comes from|came from: source origin
    come back|comes back: return
    stand for|stands for: represent
    get in the way|in each other's way: conflict lock
    laid out|lay out: layout
    rolled back|roll back: rollback
    speed up|sped up|faster: cache optimize
    slow down|slowed down: throttle
    wait for|waits for|waited for: wait
    by hand: manual
    on its own|by itself: auto
    in the background: background thread
    in memory: cache memory
    user agent: user agent
    command line: command args
"""


def _table() -> dict[str, str]:
    found: dict[str, str] = {}
    for line in _PHRASES.strip().split("\n"):
        phrases, _, said = line.partition(":")
        found.update(dict.fromkeys(phrases.strip().split("|"), said.strip()))
    return found


_SAID = _table()
_LONGEST = max(len(phrase.split()) for phrase in _SAID)
_WORD = re.compile(r"[\w']+|[^\w']+")


def in_words_of_programs(question: str) -> str:
    """The question with each of these phrases in the words that programs have for it; the longest that fits, from the left."""
    found = _WORD.findall(question)
    words = [word.lower() if word[0].isalnum() else " " if word.isspace() else word for word in found]
    result: list[str] = []
    at = 0
    while at < len(words):
        for size in range(2 * _LONGEST - 1, 0, -2):
            if said := _SAID.get("".join(words[at : at + size])):
                result.append(said)
                at += size
                break
        else:
            result.append(found[at])
            at += 1
    return "".join(result)
