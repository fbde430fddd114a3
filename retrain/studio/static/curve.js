// The learning curve: accuracy with its band against the photographs a class.

import { $, count, percent } from "./ui.js";

export function showCurve(found) {
  const points = found.sizes.map((size, index) => {
    const { value, low_95, high_95 } = found.accuracy[index];
    return { size: Math.round(size), value, low: low_95, high: high_95 };
  });
  $("curve-said").textContent = found.sentences.join(" ");
  if (points.length < 2) return $("curve").replaceChildren();
  const [width, height, left, bottom] = [640, 260, 48, 30];
  const most = Math.max(...points.map((one) => one.size));
  const least = Math.max(0, Math.min(...points.map((one) => one.low)) - 0.05);
  const x = (size) => left + ((width - left - 16) * size) / most;
  const y = (share) => 10 + (height - bottom - 10) * (1 - (share - least) / (1 - least));
  const path = (name) => points.map((one, index) => `${index ? "L" : "M"}${x(one.size).toFixed(1)},${y(one[name]).toFixed(1)}`).join("");
  const back = [...points].reverse().map((one) => `L${x(one.size).toFixed(1)},${y(one.low).toFixed(1)}`).join("");
  const svg = element("svg", { viewBox: `0 0 ${width} ${height}`, class: "curve", role: "img", "aria-label": `Accuracy from ${percent(points[0].value)} with ${points[0].size} photographs a class to ${percent(points.at(-1).value)} with ${points.at(-1).size}` });
  svg.append(element("path", { class: "band", d: `${path("high")}${back}Z` }), element("path", { class: "line", d: path("value") }));
  for (const share of [least, (least + 1) / 2, 1]) {
    svg.append(element("line", { class: "axis", x1: left, x2: width - 12, y1: y(share), y2: y(share) }), element("text", { x: 4, y: y(share) + 4 }, percent(share, 0)));
  }
  for (const one of points) {
    svg.append(element("circle", { cx: x(one.size), cy: y(one.value), r: 3.5 }), element("text", { x: x(one.size) - 10, y: height - 8 }, count(one.size)));
  }
  return $("curve").replaceChildren(svg);
}

function element(name, facts, text = "") {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(facts)) made.setAttribute(key, value);
  made.textContent = text;
  return made;
}
