// The page: asks the API beside it and draws what it says. The token is a variable and is nowhere else.
"use strict";

const $ = (id) => document.getElementById(id);
const TERMINAL = new Set(["Completed", "Failed", "Cancelled"]);
const WORDS = { WaitingRequests: "waiting for requests" };
const word = (phase) => WORDS[phase] ?? phase.toLowerCase();

let token = "";
let namespace = "";
let chosen = ""; // key of the restart that is shown
let stream = null; // ends when its controller is aborted
const runs = new Map();
const curves = new Map(); // key of a restart → what was in flight while this page watched
const diffs = new Map();

const key = (run) => `${run.namespace}/${run.name}`;
const active = (run) => !TERMINAL.has(run.phase);
const time = (text) => (text ? Date.parse(text) : NaN);
const newest = (one, other) => active(other) - active(one) || (other.started_at ?? other.created_at ?? "").localeCompare(one.started_at ?? one.created_at ?? "");
const clock = (at) => new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });

function make(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

function draw(tag, attributes = {}, text = "") {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text) node.append(text);
  return node;
}

function span(milliseconds) {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}

function ago(at) {
  const passed = Date.now() - at;
  if (passed < 5000) return "now";
  return passed < 86400000 ? `${span(passed)} ago` : new Date(at).toLocaleDateString();
}

// ---- the API

async function ask(path, options = {}) {
  const headers = { Authorization: `Bearer ${token}`, ...(options.body ? { "Content-Type": "application/json" } : {}) };
  const response = await fetch(path, { ...options, headers, cache: "no-store", credentials: "omit" });
  if (response.ok) return response;
  const refusal = await response.json().catch(() => ({ message: `the server answered ${response.status}` }));
  throw Object.assign(new Error(refusal.message), { status: response.status, code: refusal.code });
}

const send = (path, body) => ask(path, { method: "POST", body: JSON.stringify(body) }).then((response) => response.json());

// EventSource cannot carry a token in a header, so the stream is read by hand.
async function follow(first) {
  const query = new URLSearchParams({ scope: "all", ...(namespace ? { namespace } : {}) });
  const control = new AbortController();
  stream = control;
  while (!control.signal.aborted) {
    try {
      const response = await ask(`api/restart/events?${query}`, { signal: control.signal });
      first?.();
      first = null;
      live("on", "live");
      await read(response.body.pipeThrough(new TextDecoderStream()).getReader());
    } catch (error) {
      if (control.signal.aborted) return;
      if (first || error.status === 401 || error.status === 403) throw error;
    }
    live("lost", "connecting again");
    await new Promise((resume) => setTimeout(resume, 1000));
  }
}

async function read(reader) {
  let buffer = "";
  const seen = new Set();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    buffer += value;
    const blocks = buffer.split("\n\n");
    buffer = blocks.pop();
    for (const block of blocks) take(block, seen);
    schedule();
  }
}

function take(block, seen) {
  const field = (name) => block.split("\n").filter((line) => line.startsWith(`${name}: `)).map((line) => line.slice(name.length + 2)).join("\n");
  const [kind, text] = [field("event"), field("data")];
  if (!text) return;
  const data = JSON.parse(text);
  // What went away while nobody listened.
  if (kind === "listed") for (const known of runs.keys()) if (!seen.has(known)) runs.delete(known);
  if (kind === "gone") runs.delete(`${data.namespace}/${data.name}`);
  if (kind !== "run") return;
  seen.add(key(data));
  runs.set(key(data), data);
  if (active(data) || curves.has(key(data))) remember(data);
}

function remember(run) {
  const points = curves.get(key(run)) ?? [];
  const count = active(run) ? run.in_flight ?? 0 : 0;
  if (points.at(-1)?.count !== count || Date.now() - points.at(-1).at > 1000) points.push({ at: Date.now(), count });
  curves.set(key(run), points.slice(-2000));
}

function live(state, text) {
  $("live").dataset.state = state;
  $("live").textContent = text;
}

// ---- drawing

let due = false;
function schedule() {
  if (due) return;
  due = true;
  requestAnimationFrame(() => {
    due = false;
    show();
  });
}

function show() {
  const all = [...runs.values()].sort(newest);
  if (!runs.has(chosen)) chosen = all.length ? key(all[0]) : "";
  list($("now"), all.filter(active), "Nothing is being restarted.");
  list($("before"), all.filter((run) => !active(run)), "Nothing has been restarted yet.");
  $("nothing").hidden = all.length > 0;
  $("run").hidden = !chosen;
  if (chosen) detail(runs.get(chosen));
}

function list(into, some, none) {
  const focused = document.activeElement?.dataset?.key;
  into.replaceChildren(...(some.length ? some.slice(0, 200).map(entry) : [make("li", { className: "none", textContent: none })]));
  if (focused) into.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
}

function choose(another) {
  chosen = another;
  $("run-error").textContent = "";
  show();
}

function entry(run) {
  const button = make("button", { type: "button" },
    make("span", { className: "line" }, make("b", { textContent: run.target.name }), make("span", { className: "word", textContent: `${word(run.phase)}${active(run) && run.progress ? ` ${run.progress}` : ""}` })),
    make("span", { className: "line" }, make("span", { className: "reason", textContent: run.reason }), make("time", { textContent: ago(time(run.finished_at ?? run.started_at ?? run.created_at)) })));
  button.dataset.phase = run.phase;
  button.dataset.key = key(run);
  button.setAttribute("aria-current", String(key(run) === chosen));
  button.addEventListener("click", () => {
    choose(key(run));
    if (matchMedia("(max-width: 56rem)").matches) $("detail").scrollIntoView();
  });
  return make("li", {}, button);
}

function detail(run) {
  $("run").dataset.phase = run.phase;
  $("run-target").textContent = `${run.target.kind} ${run.target.name}`;
  $("run-reason").textContent = run.reason;
  $("run-phase").textContent = word(run.phase);
  $("run-phase").className = active(run) ? "badge active" : "badge";
  const failed = run.phase === "Failed";
  write($("run-message"), [run.code, run.message].filter(Boolean).join(": "));
  $("run-message").className = failed ? "message bad" : "message";
  $("cancel").hidden = !active(run);
  $("cancel").disabled = !run.can_cancel;
  $("cancel").title = run.can_cancel ? "" : run.cancel ? "it is being cancelled" : "pods have been touched: it goes on to a safe end";
  progress(run);
  facts(run);
  timeline(run);
  curve(run);
  log(run);
  configuration(run);
}

// A live region is read aloud whenever it is written, so only what changed is.
function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function progress(run) {
  const [done, total] = (run.progress || "0/0").split("/").map(Number);
  $("bar").setAttribute("aria-valuemax", total || 1);
  $("bar").setAttribute("aria-valuenow", done || 0);
  $("bar").setAttribute("aria-valuetext", run.progress || "not planned yet");
  $("bar").firstElementChild.style.width = `${total ? (100 * done) / total : run.phase === "Completed" ? 100 : 0}%`;
}

function facts(run) {
  const begun = time(run.started_at ?? run.created_at);
  const passed = (run.finished_at ? time(run.finished_at) : Date.now()) - begun;
  const rows = [
    ["Pods restarted", run.progress || "–"],
    ["In flight", active(run) ? String(run.in_flight ?? 0) : "0"],
    [active(run) ? "Running for" : "Took", span(passed)],
    ["Expected", run.estimated_seconds == null ? "–" : `about ${span(run.estimated_seconds * 1000)}`],
    ["Requested by", run.requested_by ?? "–"],
    ["Namespace", run.namespace],
    ["Started", Number.isNaN(begun) ? "–" : clock(begun)],
    ["Request", run.request_id],
  ];
  $("facts").replaceChildren(...rows.map(([term, value]) => make("div", {}, make("dt", { textContent: term }), make("dd", { textContent: value }))));
}

// One row for the phases, one for each pod that a phase was about.
function timeline(run) {
  const figure = $("timeline");
  if (!run.phases.length) return figure.replaceChildren(make("p", { className: "hint", textContent: "The controller has not looked at it yet." }));
  const now = run.finished_at ? time(run.finished_at) : Date.now();
  const begin = time(run.phases[0].started_at);
  const end = Math.max(now, begin + 5000);
  const pods = [...new Set(run.phases.flatMap((phase) => phase.pods))].slice(0, 40);
  const width = Math.max(480, Math.round(figure.clientWidth || 800));
  const left = Math.min(190, Math.round(width * 0.28));
  const row = 26;
  const height = (pods.length + 1) * row + 30;
  const x = (at) => left + ((Math.min(at, end) - begin) / (end - begin)) * (width - left - 4);
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": describe(run) });
  axis(svg, { begin, end, x, top: 0, bottom: height - 24 });
  const stretch = (phase, y, tall) => {
    const from = x(time(phase.started_at));
    const to = x(phase.finished_at ? time(phase.finished_at) : TERMINAL.has(phase.phase) ? time(phase.started_at) : now);
    const box = draw("rect", { x: from, y, width: Math.max(3, to - from - 1), height: tall, "data-phase": phase.phase, class: "stretch" });
    box.append(draw("title", {}, `${word(phase.phase)}, ${phase.reason}: ${phase.message}`));
    svg.append(box);
  };
  svg.append(draw("text", { x: 0, y: 17 }, "phase"));
  run.phases.forEach((phase) => stretch(phase, 4, 18));
  pods.forEach((pod, index) => {
    const y = (index + 1) * row;
    const fits = Math.floor(left / 7.2);
    const label = draw("text", { x: 0, y: y + 17, class: "name" }, pod.length > fits ? `…${pod.slice(1 - fits)}` : pod);
    label.append(draw("title", {}, pod));
    svg.append(label);
    run.phases.filter((phase) => phase.pods.includes(pod)).forEach((phase) => stretch(phase, y + 6, 14));
  });
  figure.replaceChildren(svg);
  const used = [...new Set(run.phases.map((phase) => phase.phase))];
  $("legend").replaceChildren(...used.map((phase) => {
    const item = make("li", { textContent: word(phase) });
    item.dataset.phase = phase;
    return item;
  }));
}

const describe = (run) => `${run.phases.length} steps: ${run.phases.map((phase) => word(phase.phase)).join(", ")}. The list below says the same in words.`;

function axis(svg, { begin, end, x, top, bottom }) {
  const seconds = (end - begin) / 1000;
  const step = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600].find((some) => seconds / some <= 8) ?? 7200;
  for (let second = 0; second <= seconds; second += step) {
    const at = x(begin + second * 1000);
    svg.append(draw("line", { x1: at, x2: at, y1: top, y2: bottom, class: "grid" }));
    svg.append(draw("text", { x: at, y: bottom + 16, "text-anchor": second ? "middle" : "start" }, second < 120 ? `${second} s` : `${second / 60} min`));
  }
}

function curve(run) {
  const figure = $("curve");
  const points = curves.get(key(run)) ?? [];
  if (!points.length) return figure.replaceChildren(make("p", { className: "hint", textContent: "This page draws what it watches: it was not open when this restart ran." }));
  const begin = Math.min(time(run.started_at ?? run.created_at), points[0].at);
  const end = Math.max(run.finished_at ? time(run.finished_at) : Date.now(), points.at(-1).at, begin + 5000);
  const most = Math.max(4, ...points.map((point) => point.count));
  const width = Math.max(480, Math.round(figure.clientWidth || 800));
  const [left, tall] = [34, 120];
  const x = (at) => left + ((at - begin) / (end - begin)) * (width - left - 8);
  const y = (count) => 8 + (1 - count / most) * (tall - 8);
  const svg = draw("svg", { viewBox: `0 0 ${width} ${tall + 26}`, role: "img", "aria-label": `Requests in flight: now ${points.at(-1).count}, at most ${Math.max(...points.map((point) => point.count))}` });
  axis(svg, { begin, end, x, top: 0, bottom: tall });
  for (const count of [0, Math.round(most / 2), most]) svg.append(draw("text", { x: left - 8, y: y(count) + 4, "text-anchor": "end" }, String(count)));
  let path = `M${x(points[0].at)} ${y(points[0].count)}`;
  for (const point of points.slice(1)) path += `H${x(point.at)}V${y(point.count)}`;
  path += `H${x(active(run) ? end : points.at(-1).at)}`;
  svg.append(draw("path", { d: `${path}V${y(0)}H${x(points[0].at)}Z`, class: "area" }), draw("path", { d: path, class: "curve" }));
  svg.append(draw("circle", { cx: x(active(run) ? end : points.at(-1).at), cy: y(points.at(-1).count), r: 4, class: "dot" }));
  figure.replaceChildren(svg);
}

function log(run) {
  $("log").replaceChildren(...run.phases.map((phase) => {
    const item = make("li", {},
      make("time", { textContent: clock(time(phase.started_at)), dateTime: phase.started_at }),
      make("b", { textContent: word(phase.phase) }),
      make("span", { textContent: [phase.reason, phase.message].filter(Boolean).join(": ") }));
    item.dataset.phase = phase.phase;
    return item;
  }));
}

let shownNodes; // in #diff

// Asked for again when the restart's own maps have changed, and when it has ended.
async function configuration(run) {
  const state = JSON.stringify([run.config_maps, active(run)]);
  const known = diffs.get(key(run));
  if (known?.state !== state) {
    diffs.set(key(run), { state, nodes: known?.nodes });
    const nodes = await differences(run).catch((error) => [make("p", { className: "hint", textContent: error.message })]);
    diffs.set(key(run), { state, nodes });
  }
  const nodes = diffs.get(key(run))?.nodes;
  if (chosen !== key(run) || nodes === shownNodes) return;
  shownNodes = nodes;
  $("diff").replaceChildren(...(nodes ?? []));
}

async function differences(run) {
  if (!run.config_maps.length) return [make("p", { className: "hint", textContent: active(run) ? "Not copied yet." : "No ConfigMap belongs to it." })];
  const answer = await (await ask(`api/restart/runs/${run.namespace}/${run.request_id}/diff`)).json();
  return answer.data.flatMap((map) => [
    make("h4", { textContent: map.name }),
    ...shownDiff(map.restart, "New pods start on what the old ones had.", "A copy of it is no longer there."),
    ...(map.since ? [make("p", { className: "hint", textContent: "Changed since:" }), ...shownDiff(map.since, "", "")] : []),
  ]);
}

function shownDiff(text, same, gone) {
  if (text == null || text === "") return [make("p", { className: "hint", textContent: text == null ? gone : same })];
  const colour = { "+": "plus", "-": "minus", "@": "hunk" };
  const lines = text.replace(/\n$/, "").split("\n");
  return [make("pre", { tabIndex: 0 }, ...lines.map((line) => make("span", { textContent: line || " ", className: /^(---|\+\+\+) /.test(line) ? "hunk" : colour[line[0]] ?? "" })))];
}

// ---- what the user does

$("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  token = $("token").value.trim();
  namespace = $("namespace").value.trim();
  $("login-error").textContent = "";
  try {
    await follow(entered);
  } catch (error) {
    logout();
    $("login-error").textContent = error.message;
  }
});

function entered() {
  $("token").value = "";
  $("login").hidden = true;
  for (const id of ["board", "logout", "ask-open"]) $(id).hidden = false;
  $("where").textContent = namespace ? `namespace ${namespace}` : "all namespaces";
  show();
  $("content").focus();
}

function logout() {
  stream?.abort();
  token = "";
  chosen = "";
  shownNodes = undefined;
  [runs, curves, diffs].forEach((map) => map.clear());
  for (const id of ["board", "logout", "ask-open"]) $(id).hidden = true;
  for (const id of ["now", "before", "facts", "timeline", "curve", "diff", "log"]) $(id).replaceChildren();
  $("login").hidden = false;
  $("where").textContent = "";
  live("off", "not connected");
  $("token").focus();
}

$("logout").addEventListener("click", logout);

$("ask-open").addEventListener("click", () => {
  const run = runs.get(chosen);
  $("ask-namespace").value = run?.namespace ?? namespace;
  $("ask-kind").value = run?.target.kind ?? "Deployment";
  $("ask-name").value = run?.target.name ?? "";
  $("ask-reason").value = "";
  $("ask-error").textContent = "";
  $("ask").showModal();
  (run ? $("ask-reason") : $("ask-namespace").value ? $("ask-name") : $("ask-namespace")).focus();
});
$("ask-close").addEventListener("click", () => $("ask").close());

$("ask-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  $("ask-send").disabled = true;
  $("ask-error").textContent = "";
  const body = {
    namespace: $("ask-namespace").value.trim(), kind: $("ask-kind").value, name: $("ask-name").value.trim(),
    reason: $("ask-reason").value, force: $("ask-force").checked,
    ...($("ask-timeout").value ? { timeout: Number($("ask-timeout").value) } : {}),
  };
  try {
    const accepted = await send("api/restart/request", body);
    const run = await (await ask(`api/restart/runs/${body.namespace}/${accepted.request_id}`)).json();
    if (!runs.has(key(run.data))) runs.set(key(run.data), run.data);
    $("ask").close();
    choose(key(run.data));
  } catch (error) {
    $("ask-error").textContent = [error.code, error.message].filter(Boolean).join(": ");
  } finally {
    $("ask-send").disabled = false;
  }
});

// A dialog that is left by Escape keeps the answer of the time before; and what was asked about is what is cancelled.
let doubted;
$("cancel").addEventListener("click", () => {
  doubted = runs.get(chosen);
  $("sure").returnValue = "";
  $("sure").showModal();
});
$("sure").addEventListener("close", async () => {
  const run = doubted;
  if ($("sure").returnValue !== "yes" || !run) return;
  $("run-error").textContent = "";
  try {
    await send("api/restart/cancel", { request_id: run.request_id, namespace: run.namespace, kind: run.target.kind, name: run.target.name });
  } catch (error) {
    $("run-error").textContent = [error.code, error.message].filter(Boolean).join(": ");
  }
});

// Up and down go through the list of restarts.
$("list").addEventListener("keydown", (event) => {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step) return;
  event.preventDefault();
  const buttons = [...$("list").querySelectorAll("button")];
  buttons[buttons.indexOf(document.activeElement) + step]?.focus();
});

// Time passes where nothing else happens.
setInterval(() => {
  if (!token || document.hidden) return;
  for (const run of runs.values()) if (active(run)) remember(run);
  schedule();
}, 1000);
