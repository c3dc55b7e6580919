"use strict";
// Charts: exact figures by mouse and by arrow keys, a click shows one day alone, and a picture of each as PNG.
for (const figure of document.querySelectorAll("figure")) {
  const picture = figure.querySelector("svg"), places = [...picture.querySelectorAll(".h rect")];
  const days = [...figure.querySelectorAll("tbody th")].map((cell) => cell.textContent.trim());
  const told = figure.querySelector(".told"), file = figure.querySelector(".file");
  let at = -1;

  const point = (n) => {
    places[at]?.classList.remove("on");
    at = Math.max(0, Math.min(places.length - 1, n));
    places[at].classList.add("on");
    told.textContent = places[at].textContent.split("\n").join(" · ");
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
