"use strict";
// Charts: exact figures by mouse and by arrow keys, a click shows one day alone, and a picture of each as PNG.
const LEFT = 48, RIGHT = 412, TOP = 10, HEIGHT = 176, SVG = "http://www.w3.org/2000/svg";
const SAYS = {
  usd: (value) => "$" + value,
  share: (value) => (100 * value).toFixed(1) + "%",
  ms: (value) => (value / 1000).toFixed(2) + " s",
  count: (value) => Number(value.toFixed(2)).toLocaleString("en"),
};
for (const figure of document.querySelectorAll("figure")) {
  const picture = figure.querySelector("svg"), file = figure.querySelector(".file"), told = figure.querySelector(".told");
  const say = SAYS[figure.dataset.says], names = [...figure.querySelectorAll("thead th")].slice(1).map((cell) => cell.textContent);
  const rows = [...figure.querySelectorAll("tbody tr")].map((row) => [...row.cells].map((cell) => cell.textContent.trim()));
  const isStacked = figure.querySelector("figcaption p").textContent.includes("stacked");
  const days = rows.map((row) => row[0]);
  const places = days.map((day, n) => {
    const place = document.createElementNS(SVG, "rect"), wide = (RIGHT - LEFT) / days.length;
    for (const [name, value] of Object.entries({ x: LEFT + n * wide, y: TOP, width: wide, height: HEIGHT })) {
      place.setAttribute(name, value);
    }
    return place;
  });
  const over = document.createElementNS(SVG, "g");
  over.setAttribute("class", "h");
  over.append(...places);
  picture.append(over);
  let at = -1;

  const point = (n) => {
    places[at]?.classList.remove("on");
    at = Math.max(0, Math.min(places.length - 1, n));
    places[at].classList.add("on");
    const known = names.map((name, k) => [name, rows[at][k + 1]]).filter(([, cell]) => cell !== "–" && Number(cell));
    const whole = known.reduce((sum, [, cell]) => sum + Number(cell), 0), day = days[at];
    const first = isStacked && known.length > 1 ? `${day}: ${say(Number(whole.toFixed(9)))}` : day;
    told.textContent = [first, ...known.map(([name, cell]) => `${name}: ${say(Number(cell))}`)].join(" · ");
  };
  const alone = (n) => {
    const today = new Date().toISOString().slice(0, 10), day = days[n];
    const next = new Date(Date.parse(day) + 864e5 * (Number(figure.dataset.step) || 1)).toISOString().slice(0, 10);
    if (day > today) return;
    const words = new URLSearchParams(location.search);
    words.set("since", day);
    words.set("until", next);
    location.search = words;
  };

  picture.tabIndex = 0;
  picture.addEventListener("keydown", (event) => {
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: places.length - 1 }[event.key];
    if (to !== undefined) point(to);
    else if (event.key === "Enter" && at >= 0) alone(at);
    else return;
    event.preventDefault();
  });
  places.forEach((place, n) => {
    place.addEventListener("mouseenter", () => point(n));
    place.addEventListener("click", () => alone(n));
  });

  const png = document.createElement("button");
  png.type = "button";
  png.className = "file";
  png.append("PNG", Object.assign(document.createElement("span"), {
    className: "unseen", textContent: " of " + figure.querySelector("h3").textContent }));
  png.addEventListener("click", async () => {
    const drawn = new Image();
    drawn.src = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(await (await fetch(file.href)).text());
    await drawn.decode();
    const canvas = Object.assign(document.createElement("canvas"), { width: 2 * drawn.width, height: 2 * drawn.height });
    canvas.getContext("2d").drawImage(drawn, 0, 0, canvas.width, canvas.height);
    canvas.toBlob((blob) => {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(blob);
      link.download = figure.id.slice(6) + ".png";
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 1e4);
    });
  });
  file.after(png);
}
