// The headline pictures: accuracy by kind and condition, with the baselines as lines.
"use strict";
const tempo = { data: JSON.parse(document.getElementById("data").textContent) };

// Colours and markers that differ without colour too (Okabe and Ito).
tempo.series = [
  ["#0072b2", "circle"], ["#d55e00", "square"], ["#009e73", "diamond"], ["#cc79a7", "triangle-up"],
  ["#7a5195", "cross"], ["#b58900", "x"], ["#4477aa", "star"], ["#666666", "triangle-down"],
];
tempo.dark = function () {
  const named = document.documentElement.dataset.theme;
  return named ? named === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
};
tempo.colour = function (name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
};
// Plotly reads some HTML in its texts: what others wrote is shown letter by letter.
tempo.plain = function (text) {
  return String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
};

(function () {
  const place = document.getElementById("headline-charts");
  if (!place) return;
  const order = ["eo", "lo", "ld", "macro"];
  const titles = { eo: "earliest onset", lo: "latest offset", ld: "longest duration",
    macro: "average of kinds" };
  const families = new Map();
  for (const row of tempo.data.accuracy) {
    const name = [row.source, row.variant, row.scoring === "generation" ? "" : row.scoring]
      .filter(Boolean).join(", ");
    if (!families.has(name)) families.set(name, []);
    families.get(name).push(row);
  }
  const lines = ["dot", "dash", "longdash", "dashdot", "solid"];

  function figure(rows) {
    const kinds = order.filter((kind) => rows.some((row) => row.kind === kind));
    const runs = new Set(rows.map((row) => row.run));
    const series = new Map();
    for (const row of rows) {
      const name = runs.size > 1 ? row.run + ", " + row.condition : row.condition;
      if (!series.has(name)) series.set(name, []);
      series.get(name).push(row);
    }
    const width = 0.7 / Math.max(series.size, 1);
    const traces = [];
    [...series].forEach(([name, mine], number) => {
      const [colour, symbol] = tempo.series[number % tempo.series.length];
      traces.push({
        type: "scatter", mode: "markers", name: tempo.plain(name),
        x: mine.map((row) => kinds.indexOf(row.kind) - 0.35 + (number + 0.5) * width),
        y: mine.map((row) => 100 * row.accuracy),
        error_y: { type: "data", symmetric: false, thickness: 2, width: 4, color: colour,
          array: mine.map((row) => row.high === null ? 0 : 100 * (row.high - row.accuracy)),
          arrayminus: mine.map((row) => row.low === null ? 0 : 100 * (row.accuracy - row.low)) },
        marker: { color: colour, symbol: symbol, size: 10 },
        text: mine.map((row) => tempo.plain(name) + ", " + row.kind + ": " +
          (100 * row.accuracy).toFixed(1) + " %, " +
          (row.low === null ? "no interval" :
            (100 * row.low).toFixed(1) + " to " + (100 * row.high).toFixed(1)) +
          ", n = " + row.n),
        hovertemplate: "%{text}<extra></extra>",
      });
    });
    const source = rows[0].source;
    const baselines = new Map();
    for (const row of tempo.data.baselines) {
      if (row.source !== source || !kinds.includes(row.kind)) continue;
      const group = row.name.startsWith("best without time") ? "best without time" : row.name;
      if (!baselines.has(group)) baselines.set(group, []);
      baselines.get(group).push(row);
    }
    [...baselines].forEach(([name, mine], number) => {
      const x = [], y = [], text = [];
      for (const row of mine) {
        const at = kinds.indexOf(row.kind);
        const said = tempo.plain(row.name) + ", " + row.kind + ": " +
          (100 * row.accuracy).toFixed(1) + " %" + (row.n ? ", n = " + row.n : "");
        x.push(at - 0.42, at, at + 0.42, null);
        y.push(100 * row.accuracy, 100 * row.accuracy, 100 * row.accuracy, null);
        text.push(said, said, said, "");
      }
      traces.push({ type: "scatter", mode: "lines", name: tempo.plain(name), x: x, y: y,
        line: { dash: lines[number % lines.length], width: 2, color: tempo.colour("--soft") },
        text: text, hovertemplate: "%{text}<extra></extra>" });
    });
    const ink = tempo.colour("--text"), line = tempo.colour("--line");
    const narrow = place.clientWidth < 620;
    return [traces, {
      margin: { l: 48, r: 12, t: 12, b: 36 }, hovermode: "closest",
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { color: ink, family: "system-ui, sans-serif", size: 13 },
      xaxis: { tickvals: kinds.map((_, at) => at), ticktext: kinds.map((kind) => narrow ? kind : titles[kind] || kind),
        range: [-0.55, kinds.length - 0.45], gridcolor: "rgba(0,0,0,0)", zeroline: false,
        fixedrange: true },
      yaxis: { title: { text: "accuracy, %" }, range: [0, 103], gridcolor: line, zeroline: false,
        fixedrange: true },
      legend: narrow ? { orientation: "h", y: -0.15, font: { size: 11 } } : { x: 1.01, y: 1 },
    }];
  }

  const charts = [...families].map(([name, rows]) => {
    const title = document.createElement("p");
    title.className = "chart-title";
    title.textContent = name;
    const chart = document.createElement("div");
    chart.className = "chart";
    chart.setAttribute("role", "img");
    chart.setAttribute("aria-label",
      "Accuracy of " + name + "; the numbers are in the tables Accuracy and Baselines");
    place.append(title, chart);
    return [chart, rows];
  });
  function draw() {
    for (const [chart, rows] of charts) {
      const [traces, layout] = figure(rows);
      Plotly.react(chart, traces, layout, { displayModeBar: false, responsive: true });
    }
  }
  draw();
  tempo.redraw = [draw];
})();

(function () {
  const root = document.documentElement;
  let kept = null;
  try { kept = localStorage.getItem("tempo-theme"); } catch (error) { /* a page from a file */ }
  if (kept === "dark" || kept === "light") root.dataset.theme = kept;
  tempo.redraw = tempo.redraw || [];
  function redraw() { for (const again of tempo.redraw) again(); }
  if (kept) redraw();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  document.getElementById("theme").addEventListener("click", () => {
    root.dataset.theme = tempo.dark() ? "light" : "dark";
    try { localStorage.setItem("tempo-theme", root.dataset.theme); } catch (error) { /* likewise */ }
    redraw();
  });
})();
