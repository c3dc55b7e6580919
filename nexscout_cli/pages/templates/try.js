"use strict";
// The Try page: a quote as one types, and an answer as it comes. Without this script its two buttons do the same.
(() => {
  const form = document.getElementById("try");
  const at = (id) => document.getElementById(id);
  const state = at("state"), stop = at("stop"), run = form.querySelector("[value=run]");
  const WAIT = 350;
  let timer = 0, asking = null, running = null;

  const body = () => new URLSearchParams(new FormData(form));
  // Texts from the server are pages' fragments, escaped there.
  const show = (where, html) => {
    where.replaceChildren(...new DOMParser().parseFromString(html, "text/html").body.childNodes);
  };
  const ask = async (path, control) => {
    const answer = await fetch(path, { method: "POST", body: body(), signal: control.signal });
    if (answer.redirected) location.assign("/sign-in");
    return answer;
  };

  const quote = async () => {
    clearTimeout(timer);
    asking?.abort();
    if (!form.elements.prompt.value.trim()) return;
    const mine = (asking = new AbortController());
    at("quote").setAttribute("aria-busy", "true");
    try {
      const answer = await ask("/try/quote", mine);
      show(at("quote"), await answer.text());
    } catch (error) {
      if (error.name !== "AbortError") at("quote").textContent = "The server cannot be reached.";
    }
    if (asking === mine) at("quote").removeAttribute("aria-busy");
  };

  const take = (line) => {
    const event = JSON.parse(line);
    if (event.text !== undefined) at("answer").append(event.text);
    if (event.html !== undefined) show(at("about"), event.html);
  };

  const answer = async () => {
    running = new AbortController();
    at("ran").hidden = false;
    at("answer").textContent = "";
    at("about").textContent = "";
    run.disabled = true;
    stop.hidden = false;
    state.textContent = "asking…";
    try {
      const stream = (await ask("/try/run", running)).body.pipeThrough(new TextDecoderStream()).getReader();
      for (let rest = ""; ; ) {
        const { value, done } = await stream.read();
        if (done) break;
        const lines = (rest + value).split("\n");
        rest = lines.pop();
        lines.filter(Boolean).forEach(take);
      }
      state.textContent = "";
    } catch (error) {
      state.textContent =
        error.name === "AbortError" ? "Stopped; what had come is billed." : "The answer broke off; the log has what it cost.";
    }
    // Another run is another request; the same name would be given the same answer again.
    form.elements.once.value = [...crypto.getRandomValues(new Uint8Array(16))].map((n) => n.toString(16).padStart(2, "0")).join("");
    run.disabled = false;
    stop.hidden = true;
    running = null;
  };

  form.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(quote, WAIT);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (event.submitter?.value !== "run") quote();
    else if (running === null) answer();
  });
  stop.addEventListener("click", () => running?.abort());
  if (form.elements.prompt.value.trim() && !at("quote").querySelector(".big")) quote();
})();
