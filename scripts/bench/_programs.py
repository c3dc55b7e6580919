"""A made-up service in Python, JavaScript, TypeScript, Go, Rust, Java and C, and questions about what its functions are for.

Each function is written once, in lines that are rendered in every language; the questions are in words of their own.
"""

from __future__ import annotations

import random
import re
from typing import Any

FUNCTIONS = """
expire_sessions(store, now) ? Where are logins thrown out that nobody used for a while?
  let gone = 0
  for session in store.sessions
    if now - session.seen > MAX_IDLE
      store.drop(session.id)
      let gone = gone + 1
  audit.note("idle", gone)
  return gone
charge_card(account, cents) ? How is money taken from a customer?
  if cents <= 0
    return false
  let receipt = gateway.submit(account.token, cents)
  if receipt.declined
    account.mark("unpaid")
    return false
  ledger.append(account.id, cents)
  return true
parse_header(line) ? Where is a header's line split into its name and its value?
  let at = line.find(":")
  if at < 0
    raise_error("no colon")
  let name = line.slice(0, at)
  let value = line.slice(at + 1, line.size)
  return pair(name.lower(), value.strip())
retry_request(client, request) ? Where is a call tried again after the network failed?
  let delay = FIRST_DELAY
  for attempt in range(MAX_ATTEMPTS)
    let reply = client.send(request)
    if reply.ok
      return reply
    clock.sleep(delay)
    let delay = delay * 2
  return none
rotate_log(path, limit) ? Where is the log file renamed once it is too big?
  let size = files.size(path)
  if size < limit
    return path
  let older = path + ".1"
  files.move(path, older)
  files.touch(path)
  return older
hash_password(plain, salt) ? How are passwords hashed?
  let digest = salt
  for round in range(ROUNDS)
    let digest = crypto.mix(digest, plain)
  return crypto.encode(digest)
send_invoice(order, mailer) ? Where are invoices mailed to customers?
  let page = templates.render("invoice", order)
  let address = order.customer.email
  if address.empty
    return false
  mailer.deliver(address, page)
  order.mark("billed")
  return true
load_settings(path) ? Where is the configuration read from disk?
  let found = table()
  for line in files.lines(path)
    if line.starts("#")
      skip()
    let at = line.find("=")
    found.put(line.slice(0, at), line.slice(at + 1, line.size))
  return found
resize_image(image, width) ? Where are pictures made smaller?
  let ratio = image.height / image.width
  let height = width * ratio
  let canvas = graphics.blank(width, height)
  canvas.paint(image, 0, 0)
  return canvas
allow_request(bucket, now) ? Where is the rate limit checked?
  let passed = now - bucket.last
  let tokens = min(bucket.size, bucket.tokens + passed * bucket.rate)
  bucket.last = now
  if tokens < 1
    bucket.tokens = tokens
    return false
  bucket.tokens = tokens - 1
  return true
merge_carts(first, second) ? How are two shopping carts put together?
  let merged = table()
  for item in first.items
    merged.put(item.sku, item.count)
  for item in second.items
    merged.put(item.sku, merged.get(item.sku) + item.count)
  return merged
open_pool(address, size) ? Where are the database connections opened?
  let ready = list()
  for number in range(size)
    let connection = database.dial(address)
    connection.configure("utc")
    ready.append(connection)
  return ready
find_route(table, path) ? How does it pick the handler for a path?
  let best = none
  for entry in table.entries
    if path.starts(entry.prefix)
      if entry.prefix.size > best.prefix.size
        let best = entry
  return best.handler
compress_backup(folder, target) ? Where is the backup packed into an archive?
  let archive = zip.create(target)
  for name in files.walk(folder)
    archive.add(name, files.read(name))
  archive.close()
  return target
score_results(query, pages) ? How are search results ranked?
  let scored = list()
  for page in pages
    let weight = 0
    for term in query.terms
      let weight = weight + page.count(term) * rarity(term)
    scored.append(pair(weight, page))
  return sort_descending(scored)
verify_token(token, key) ? Where does it check that a token's signature is right?
  let parts = token.split(".")
  let wanted = crypto.sign(parts.first, key)
  if wanted != parts.last
    return none
  return json.decode(parts.first)
escape_html(text) ? Where are special characters of a page made harmless?
  let safe = buffer()
  for letter in text
    if letter == "<"
      safe.append("&lt;")
    if letter == ">"
      safe.append("&gt;")
  return safe.done()
watch_folder(folder, callback) ? Where does it notice that a file has changed?
  let known = files.times(folder)
  for tick in forever()
    clock.sleep(INTERVAL)
    let fresh = files.times(folder)
    if fresh != known
      callback(fresh)
      let known = fresh
apply_discount(basket, code) ? Where is a voucher taken off the price?
  let rule = vouchers.get(code)
  if rule.expired
    return basket.total
  let saved = basket.total * rule.percent / 100
  basket.note("voucher", code)
  return basket.total - saved
stop_workers(pool, grace) ? How are the workers shut down?
  for worker in pool.workers
    worker.signal("term")
  let until = clock.now() + grace
  for worker in pool.workers
    worker.join(until)
    if worker.alive
      worker.kill()
  pool.workers.clear()
count_words(stream) ? Where is the number of words in a stream found?
  let total = 0
  let inside = false
  for letter in stream
    if letter == " "
      let inside = false
    if not_yet(inside, letter)
      let inside = true
      let total = total + 1
  return total
encode_frame(opcode, payload) ? Where is a message packed for the socket?
  let frame = buffer()
  frame.append(opcode + 128)
  if payload.size < 126
    frame.append(payload.size)
  frame.extend(payload)
  return frame.done()
book_seat(show, row, number) ? Where does somebody reserve a place?
  let key = row * 100 + number
  if show.taken.has(key)
    return false
  show.taken.add(key)
  show.remaining = show.remaining - 1
  return true
guess_language(text) ? How does it tell which language a text is in?
  let best = "en"
  let most = 0
  for name in profiles.names
    let shared = overlap(trigrams(text), profiles.get(name))
    if shared > most
      let best = name
      let most = shared
  return best
"""
LANGUAGES = ("python", "javascript", "typescript", "go", "rust", "java", "c")


def program(language: str, chance: random.Random) -> list[tuple[str, str, str]]:
    """The functions in a chance order, each with its code, its body alone, and what is asked about it."""
    found = []
    for text in re.split(r"\n(?=\w)", FUNCTIONS.strip()):
        head, *lines = text.split("\n")
        name, given, asked = re.match(r"(\w+)\(([^)]*)\) \? (.+)", head).groups()  # type: ignore[union-attr]
        body = _body(language, lines)
        found.append((_function(language, name, given.split(", "), body), body, asked))
    chance.shuffle(found)
    return found


def row(chance: random.Random) -> dict[str, Any]:
    """A whole program and a question about one of its functions, of which the body must be left."""
    language = chance.choice(LANGUAGES)
    found = program(language, chance)
    _, body, asked = chance.choice(found)
    context = OPENINGS[language] + "\n\n".join(text for text, _, _ in found) + ("}\n" if language == "java" else "")
    return {"task": "code other", "context": context, "question": asked, "parts": [body], "language": language}


OPENINGS = {
    "python": "import audit, clock, crypto, database, files\n\nMAX_IDLE = 900\n\n\n",
    "javascript": "import { audit, clock, crypto, database, files } from './parts.js';\n\nconst MAX_IDLE = 900;\n\n",
    "typescript": "import { audit, clock, crypto, database, files } from './parts';\n\nconst MAX_IDLE: number = 900;\n\n",
    "go": 'package service\n\nimport (\n\t"clock"\n\t"crypto"\n)\n\nconst MaxIdle = 900\n\n',
    "rust": "use crate::{audit, clock, crypto};\n\nconst MAX_IDLE: u64 = 900;\n\n",
    "java": "package org.example.service;\n\nimport java.util.*;\n\npublic final class Service {\n",
    "c": '#include <stdlib.h>\n#include "parts.h"\n\n#define MAX_IDLE 900\n\n',
}
_HEADS = {
    "python": "def {name}({given}):",
    "javascript": "export function {name}({given}) {{",
    "typescript": "export function {name}({given}): unknown {{",
    "go": "func {name}({given}) any {{",
    "rust": "pub fn {name}({given}) -> Value {{",
    "java": "    public static Object {name}({given}) {{",
    "c": "value *{name}({given})\n{{",
}
_GIVEN = {"typescript": "{}: any", "go": "{} any", "rust": "{}: &Value", "java": "Object {}", "c": "value *{}"}
_LET = {
    "python": "{}",
    "javascript": "let {}",
    "typescript": "let {}",
    "go": "{}",
    "rust": "let mut {}",
    "java": "var {}",
}
_FOR = {
    "python": "for {} in {}:", "javascript": "for (const {} of {}) {{", "typescript": "for (const {} of {}) {{",
    "go": "for _, {} := range {} {{", "rust": "for {} in {} {{", "java": "for (var {} : {}) {{",
    "c": "for (value *{0} = first({1}); {0}; {0} = next({0})) {{",
}  # fmt: skip


def _function(language: str, name: str, given: list[str], body: str) -> str:
    named = name if language in ("python", "rust", "c") else _camel(name)
    named = named[0].upper() + named[1:] if language == "go" else named
    params = ", ".join(_GIVEN.get(language, "{}").format(one) for one in given)
    head = _HEADS[language].format(name=named, given=params)
    close = {"python": "", "java": "\n    }"}.get(language, "\n}")
    return f"{head}\n{body}{close}\n"


def _camel(name: str) -> str:
    return re.sub(r"_(\w)", lambda match: match.group(1).upper(), name)


def _body(language: str, lines: list[str]) -> str:
    step = "\t" if language == "go" else "    "
    deeper = 1 if language == "java" else 0
    result: list[str] = []
    known: set[str] = set()
    depths = [(len(line) - len(line.lstrip())) // 2 for line in lines]
    for line, depth, after in zip(lines, depths, [*depths[1:], 1], strict=True):
        result.append(step * (depth + deeper) + _line(language, line.strip(), known))
        if language != "python":
            result += [step * (level + deeper) + "}" for level in range(depth - 1, after - 1, -1)]
    return "\n".join(result)


def _line(language: str, line: str, known: set[str]) -> str:
    word, _, rest = line.partition(" ")
    if language not in ("python", "rust", "c"):
        rest = re.sub(r"\b[a-z]+_[a-z_]+", lambda match: _camel(match.group()), rest)
    end = "" if language in ("python", "go") else ";"
    if word == "if":
        return {"python": f"if {rest}:", "go": f"if {rest} {{", "rust": f"if {rest} {{"}.get(
            language, f"if ({rest}) {{"
        )
    if word == "for":
        one, _, many = rest.partition(" in ")
        return _FOR[language].format(one, many)
    if word == "return":
        return f"return {rest}{end}"
    if word == "let":
        name, _, value = rest.partition(" = ")
        first, made = name not in known, _LET.get(language, "value *{}").format(name)
        known.add(name)
        sign = ":=" if language == "go" and first else "="
        return f"{made if first else name} {sign} {value}{end}"
    return f"{line}{end}"
