// The item browser. Text of others is written by textContent only, never as HTML.
"use strict";
(function () {
  const list = document.getElementById("list");
  if (!list) return;
  const { items, columns, edits, clips } = tempo.data;
  const HEIGHT = 52, LETTERS = "ABCD";
  const byId = (id) => document.getElementById(id);
  const space = byId("list-space"), panel = byId("item"), count = byId("count");
  const filters = { text: byId("f-text"), kind: byId("f-kind"), column: byId("f-column"),
    outcome: byId("f-outcome"), edit: byId("f-edit"), effect: byId("f-effect"),
    margin: byId("f-margin"), present: byId("f-present") };
  const numbers = new Map(items.map((item, number) => [item.id, number]));
  let shown = items.map((_, number) => number), chosen = -1, player = null;

  function make(tag, properties, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(properties || {})) {
      if (name === "class") element.className = value;
      else if (name.includes("-") || name === "role" || name === "scope") element.setAttribute(name, value);
      else element[name] = value;
    }
    for (const child of children) element.append(child);
    return element;
  }
  function columnName(column) {
    const runs = new Set(columns.map((found) => found.run));
    const what = [column.condition, column.variant, column.scoring].filter(Boolean).join(" ");
    return runs.size > 1 ? column.run + ": " + what : what;
  }
  const names = columns.map(columnName);
  // [choice, credit, text, probabilities] to how it stands on the page.
  function outcome(answer) {
    if (answer[1] >= 1) return ["✓", "right"];
    return answer[0] < 0 ? ["–", "none"] : ["✗", "wrong"];
  }
  function sounds(probability) { return (100 * probability).toFixed(1) + " %"; }

  // ------------------------------------------------------------------ filters
  function choices(select, entries) {
    select.replaceChildren(...entries.map(([value, text]) => make("option", { value: value, textContent: text })));
  }
  function binsOf(name) {
    const found = new Map();
    for (const item of items) if (name in item.bins) found.set(item.bins[name], (found.get(item.bins[name]) || 0) + 1);
    const first = (text) => text.startsWith("under") ? -1 : parseFloat(text);
    return [["", "any"], ...[...found].sort((a, b) => first(a[0]) - first(b[0])).map(([bin, n]) => [bin, bin + " (" + n + ")"])];
  }
  const kinds = [...new Set(items.map((item) => item.kind))];
  const kindNames = { eo: "earliest onset", lo: "latest offset", ld: "longest duration" };
  choices(filters.kind, [["", "all"], ...kinds.map((kind) => [kind, kindNames[kind] || kind])]);
  choices(filters.column, [["", "any condition"], ...names.map((name, number) => [number, name])]);
  choices(filters.outcome, [["", "any"], ["wrong", "wrong or none"], ["right", "right"], ["none", "no answer"]]);
  choices(filters.edit, [["", "none"], ...edits.flatMap((run, number) =>
    run.edits.map((edit, at) => [number + "," + at, (edits.length > 1 ? run.name + ": " : "") + edit]))]);
  choices(filters.effect, [["", "any"], ["f", "fixed"], ["b", "broken"], ["fb", "fixed or broken"]]);
  choices(filters.margin, binsOf("margin"));
  choices(filters.present, binsOf("n_present"));
  byId("l-edit").hidden = byId("l-effect").hidden = !edits.length;
  byId("l-margin").hidden = filters.margin.options.length < 2;
  byId("l-present").hidden = filters.present.options.length < 2;
  for (const label of document.querySelectorAll("#filters label")) if (label.hidden) label.style.display = "none";

  const texts = items.map((item) => [item.id, item.clipName, item.caption || "", ...item.options,
    ...Object.values(item.answers).map((answer) => answer[2])].join("\n").toLowerCase());

  function answersOf(item) {
    return filters.column.value === "" ? Object.values(item.answers)
      : item.answers[filters.column.value] ? [item.answers[filters.column.value]] : [];
  }
  function statesOf(item, wanted) {
    const found = [];
    for (const [run, conditions] of Object.entries(item.edits)) {
      for (const one of Object.values(conditions)) {
        if (!wanted) found.push(...one.states);
        else if (wanted[0] === run) found.push(one.states[wanted[1]]);
      }
    }
    return found;
  }
  function passes(item, number) {
    const value = (name) => filters[name].value;
    if (value("kind") && item.kind !== value("kind")) return false;
    if (value("margin") && item.bins.margin !== value("margin")) return false;
    if (value("present") && item.bins.n_present !== value("present")) return false;
    if (filters.column.value !== "" && !item.answers[filters.column.value]) return false;
    if (value("outcome")) {
      const wanted = value("outcome");
      const fits = answersOf(item).some((answer) => wanted === "right" ? answer[1] >= 1
        : wanted === "none" ? answer[0] < 0 : answer[1] < 1);
      if (!fits) return false;
    }
    if (value("edit") || value("effect")) {
      const states = statesOf(item, value("edit") ? value("edit").split(",") : null);
      if (!states.some((state) => !value("effect") || value("effect").includes(state))) return false;
    }
    const words = value("text").toLowerCase().split(/\s+/).filter(Boolean);
    return words.every((word) => texts[number].includes(word));
  }
  function filter() {
    shown = items.map((_, number) => number).filter((number) => passes(items[number], number));
    count.textContent = shown.length.toLocaleString("en") + " of " + items.length.toLocaleString("en") + " items";
    space.style.height = Math.max(shown.length * HEIGHT, 1) + "px";
    list.scrollTop = Math.max(0, shown.indexOf(chosen) * HEIGHT - list.clientHeight / 2);
    drawRows();
    if (!shown.length) select(-1);
    else if (!shown.includes(chosen)) select(shown[0], chosen >= 0 && location.hash.startsWith("#item="));
  }

  // ------------------------------------------------------------------ the list: only what is seen
  function drawRows() {
    const first = Math.max(0, Math.floor(list.scrollTop / HEIGHT) - 4);
    const last = Math.min(shown.length, first + Math.ceil(list.clientHeight / HEIGHT) + 9);
    const rows = [];
    for (let at = first; at < last; at++) rows.push(row(items[shown[at]], shown[at], at));
    space.replaceChildren(...rows);
    if (!shown.length) space.append(make("p", { class: "empty", textContent: "No item fits these filters." }));
    const seen = shown.indexOf(chosen);
    if (seen >= first && seen < last) list.setAttribute("aria-activedescendant", "row-" + chosen);
    else list.removeAttribute("aria-activedescendant");
  }
  function row(item, number, at) {
    const marks = make("span", { class: "marks" });
    for (const answer of Object.values(item.answers).slice(0, 8)) {
      const [mark, how] = outcome(answer);
      marks.append(make("span", { class: "is-" + how, textContent: mark, title: how }));
    }
    const element = make("div", { class: "row", id: "row-" + number, role: "option",
      "aria-selected": String(number === chosen), "aria-setsize": shown.length, "aria-posinset": at + 1 },
    make("div", { class: "name" }, make("span", { textContent: item.id }), make("em", { textContent: item.kind })),
    make("div", { class: "what" }, make("b", { textContent: item.options[item.answer] }), marks));
    element.style.top = at * HEIGHT + "px";
    element.addEventListener("click", () => select(number));
    return element;
  }

  // ------------------------------------------------------------------ one item
  function select(number, link = true) {
    chosen = number;
    if (player) { player.close(); player = null; }
    panel.replaceChildren();
    if (number >= 0) {
      show(items[number]);
      const at = shown.indexOf(number);
      if (at * HEIGHT < list.scrollTop) list.scrollTop = at * HEIGHT;
      else if ((at + 1) * HEIGHT > list.scrollTop + list.clientHeight) list.scrollTop = (at + 1) * HEIGHT - list.clientHeight;
      if (link) history.replaceState(null, "", "#item=" + encodeURIComponent(items[number].id));
    }
    drawRows();
  }
  function step(by) {
    if (!shown.length) return;
    const at = shown.indexOf(chosen);
    select(shown[Math.min(Math.max(at < 0 ? 0 : at + by, 0), shown.length - 1)]);
  }
  function show(item) {
    const clip = item.clip === null ? null : clips[item.clip];
    player = new tempo.Player(item.clip, clip, item.options, item.answer, item.attention, item.windows);
    const facts = [item.id, item.margin === null || item.margin === undefined ? "" :
      "lead of the right event: " + item.margin.toFixed(1) + " s",
    item.bins.n_present ? item.bins.n_present + " of 4 options in the clip" : ""].filter(Boolean);
    panel.append(
      make("h3", { textContent: item.question }),
      make("div", { class: "where", textContent: facts.join(" · ") }),
      player.element);
    if (item.attention.length) {
      panel.append(make("p", { class: "where", textContent: "Attention on each audio position, by layer and query rows; " +
        "the highest bar is " + item.attention.map((one) => sounds(one.highest) + " (" + one.name + ")").join(", ") }));
    }
    if (item.windows.length) {
      panel.append(make("p", { class: "where", textContent: "Frames: the window of the highest attention, by query rows, " +
        "layer and head: " + item.windows.map((one) => one.start.toFixed(1) + " to " + one.end.toFixed(1) + " s (" + one.name + ")").join(", ") }));
    }
    if (item.caption) panel.append(make("p", {}, make("strong", { textContent: "Caption: " }), item.caption));
    panel.append(make("h4", { textContent: "Options and answers" }), answersTable(item, clip));
    const said = saidTable(item);
    if (said) panel.append(make("h4", { textContent: "What the model said" }), said);
    for (const [run, conditions] of Object.entries(item.edits)) {
      for (const [condition, found] of Object.entries(conditions)) panel.append(...editsOf(item, edits[run], condition, found));
    }
    player.show();
  }
  function table(label, heads, rows) {
    const head = make("tr", {});
    for (const [text, number] of heads) head.append(make("th", { scope: "col", class: number ? "number" : "", textContent: text }));
    const box = make("div", { class: "scroll", role: "region", "aria-label": label, tabIndex: 0 });
    box.append(make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows)));
    return box;
  }
  function times(clip, label) {
    const event = clip && clip.events.find(([name]) => name === label);
    if (!event) return clip && clip.events.length ? "not in the clip" : "";
    const spans = event[1], total = spans.reduce((sum, [a, b]) => sum + b - a, 0);
    return spans[0][0].toFixed(1) + " to " + spans[spans.length - 1][1].toFixed(1) + " s, sounds " + total.toFixed(1) + " s";
  }
  function answersTable(item, clip) {
    const present = Object.keys(item.answers).map(Number);
    const rows = item.options.map((option, place) => {
      const right = place === item.answer;
      const line = make("tr", { class: right ? "answer" : "" },
        make("th", { scope: "row", textContent: LETTERS[place] + ". " + option + (right ? " (right)" : "") }),
        make("td", { textContent: times(clip, option) }));
      for (const number of present) {
        const answer = item.answers[number], cell = make("td", { class: "number" });
        if (answer[0] === place) {
          const [mark, how] = outcome(answer);
          cell.append(make("span", { class: "chip is-" + how, textContent: mark + " chosen" }));
        }
        if (answer[3]) cell.append(" " + sounds(answer[3][place]));
        line.append(cell);
      }
      return line;
    });
    return table("Options and answers", [["option", false], ["in the clip", false], ...present.map((number) => [names[number], true])], rows);
  }
  function saidTable(item) {
    const rows = Object.entries(item.answers).filter(([, answer]) => answer[2] !== "" || answer[0] < 0).map(([number, answer]) => {
      const [mark, how] = outcome(answer);
      const read = answer[0] < 0 ? "no answer" : LETTERS[answer[0]];
      return make("tr", {}, make("th", { scope: "row", textContent: names[number] }),
        make("td", {}, make("span", { class: "chip is-" + how, textContent: mark + " " + read })),
        make("td", {}, make("q", { class: "raw", textContent: answer[2] || "(nothing)" })));
    });
    return rows.length ? table("What the model said", [["condition", false], ["read as", false], ["word for word", false]], rows) : null;
  }
  function bars(probabilities, answer) {
    const box = make("div", { class: "bars", role: "img", "aria-label": probabilities.map((p, at) => LETTERS[at] + " " + sounds(p)).join(", ") });
    probabilities.forEach((p, at) => {
      const bar = make("i", { class: at === answer ? "answer" : "", title: LETTERS[at] + " " + sounds(p) });
      bar.style.height = Math.max(p * 22, 1) + "px";
      box.append(bar);
    });
    return box;
  }
  const effects = { f: ["fixed", "right"], b: ["broken", "wrong"], "+": ["right as before", "none"], "-": ["wrong as before", "none"] };
  function editsOf(item, run, condition, found) {
    const tally = (state) => [...found.states].filter((one) => one === state).length;
    const order = run.edits.map((_, at) => at).sort((a, b) => "fb-+".indexOf(found.states[a]) - "fb-+".indexOf(found.states[b]) || a - b);
    const rows = order.map((at) => {
      const [text, how] = effects[found.states[at]], place = found.choices[at];
      return make("tr", {}, make("th", { scope: "row", textContent: run.edits[at] }),
        make("td", {}, make("span", { class: "chip is-" + how, textContent: text })),
        make("td", { textContent: place === "x" ? "tie" : LETTERS[place] + ". " + item.options[place] }),
        make("td", { class: "number", textContent: found.right[at] + " %" }));
    });
    const parts = [make("h4", { textContent: "Under the edits of " + run.name + ", " + condition })];
    if (found.plain) {
      parts.push(make("div", { class: "links" }, "Without an edit, letters:", bars(found.plain, item.answer),
        found.plain.map((p, at) => LETTERS[at] + " " + sounds(p)).join("  ")));
    }
    const details = make("details", {}, make("summary", { textContent: tally("f") + " edits fix it, " + tally("b") + " break it, of " + run.edits.length }),
      table("Edits", [["edit", false], ["effect", false], ["choice", false], ["P(right)", true]], rows));
    details.open = run.edits.length <= 12;
    parts.push(details);
    return parts;
  }

  // ------------------------------------------------------------------ events
  let waiting = 0;
  function soon() { clearTimeout(waiting); waiting = setTimeout(filter, 80); }
  for (const field of Object.values(filters)) field.addEventListener("input", field === filters.text ? soon : filter);
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("filters").addEventListener("reset", () => setTimeout(filter, 0));
  list.addEventListener("scroll", drawRows, { passive: true });
  addEventListener("resize", () => { drawRows(); if (player) player.draw(); });
  tempo.redraw.push(() => { if (player) player.draw(); });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const field = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
    if (field) { if (event.key === "Escape") event.target.blur(); return; }
    const inList = event.target === list || event.target === document.body;
    const page = Math.max(1, Math.floor(list.clientHeight / HEIGHT) - 1);
    const moves = { j: 1, k: -1 }, listMoves = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (event.key in moves) step(moves[event.key]);
    else if (event.target === list && event.key in listMoves) {
      const by = listMoves[event.key];
      if (Number.isFinite(by)) step(by); else if (shown.length) select(shown[by > 0 ? shown.length - 1 : 0]);
    } else if (event.key === "ArrowRight" && inList) step(1);
    else if (event.key === "ArrowLeft" && inList) step(-1);
    else if (event.key === " " && inList && player && player.audio) player.toggle();
    else if (event.key === "/") filters.text.focus();
    else if (event.key === "w") { filters.outcome.value = filters.outcome.value === "wrong" ? "" : "wrong"; filter(); } else return;
    event.preventDefault();
  });
  function follow() {
    const match = /^#item=(.*)$/.exec(location.hash);
    if (!match) return false;
    let id = match[1];
    try { id = decodeURIComponent(id); } catch (error) { /* as it stands */ }
    if (!numbers.has(id)) { count.textContent = "There is no item of this name on the page."; return false; }
    const number = numbers.get(id);
    if (!shown.includes(number)) { byId("filters").reset(); chosen = number; filter(); }
    select(number, false);
    list.scrollTop = Math.max(0, shown.indexOf(number) * HEIGHT - list.clientHeight / 2);
    drawRows();
    byId("items").scrollIntoView();
    return true;
  }
  addEventListener("hashchange", follow);
  filter();
  follow();
  document.documentElement.dataset.ready = "yes";
})();
