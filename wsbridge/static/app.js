// The live page: takes what the bridge sends, and says plainly how far it can be believed.
// Owns the state of the page and its text; link.js owns the connections, chart.js the drawing.

import { Chart, mark } from "./chart.js";
import { connect } from "./link.js";

const INTERVAL = 0.1; // seconds between readings that we ask for
const DETECTORS = 6; // on the wire are four, or as many as the module has

const $ = (id) => document.getElementById(id);
const seconds = () => performance.now() / 1000;
const say = (node, text) => { if (node.textContent !== text) node.textContent = text; };
const minus = (text) => text.replace("-", "−");
const calm = matchMedia("(prefers-reduced-motion: reduce)");

const chart = new Chart($("chart"));
const detectors = Array.from({ length: DETECTORS }, (_, i) => {
  const [card, key] = ["detector", "legend"].map((name) => {
    const node = $(`${name}-template`).content.firstElementChild.cloneNode(true);
    node.classList.add(`ch${i + 1}`);
    node.hidden = i >= 4;
    node.querySelector("polygon").setAttribute("points", mark(i, 5).join(" "));
    return node;
  });
  card.querySelector("dt span").textContent = `Detector ${i + 1}`;
  key.querySelector("span").textContent = i + 1;
  key.querySelector("input").onchange = (event) => { chart.shown[i] = event.target.checked; soon(); };
  $("detectors").append(card);
  $("legend").append(key);
  const [value, unit, note] = ["value", "unit", "note"].map((name) => card.querySelector(`.${name}`));
  return { card, key, value, unit, note };
});

const health = { state: null, told: 0, viewers: null, status: null };
let stream, link;

// --- what arrives

function watchModule(module) {
  link?.close();
  startOver(module);
  link = connect(address(`/ws/power?${module ? `module=${module}&` : ""}interval=${INTERVAL}`), take, () => {
    if (link?.phase === "open") healthLink.hurry(); // what serves the one serves the other
    soon();
  });
}

function startOver(module) {
  stream = { module, last: null, arrived: 0, seen: null, error: null, missed: 0, periods: [], offset: null };
  chart.points = [];
}

function address(path) {
  return `${location.protocol === "https:" ? "wss:" : "ws:"}//${location.host}${path}`;
}

function take(message) {
  // Not asked for a module, the bridge chooses; after a reconnect it may choose another.
  if (message.module && message.module !== stream.module) startOver(message.module);
  if (message.type === "error") {
    // The bridge's own word that what flowed has stopped; its heartbeat will say more.
    if (stream.last && !message.epoch && health.state === "connected") health.state = null;
    stream.error = message;
    if (message.seq) stream.seen = { ...message, timestamp: Date.parse(message.timestamp) / 1000 };
  } else if (message.type === "data") {
    stream.error = null;
    takeReading(message);
    // A reading proves more than what was said before it.
    if (message.timestamp > health.told) Object.assign(health, { state: "connected", told: message.timestamp });
  }
  soon();
}

function takeReading(reading) {
  const now = seconds(), { seen } = stream;
  if (seen?.epoch === reading.epoch) {
    if (reading.seq <= seen.seq) return; // what a new connection repeats
    countMissed(reading.seq - seen.seq, reading.timestamp - seen.timestamp);
  }
  stream.last = stream.seen = reading;
  stream.arrived = now;
  // Draw on the instrument's clock: the least delay of late is taken for none.
  const offset = now - reading.timestamp;
  const known = stream.offset !== null && Math.abs(offset - stream.offset) < 2;
  stream.offset = known ? Math.min(stream.offset + 1e-4, offset) : offset;
  const powers = detectors.map((_, i) => reading[`ch${i + 1}_power`]);
  chart.add(reading.timestamp, powers, reading.unit, patience());
}

// The bridge thins readings to our interval, so a jump of seq alone is what we asked for. Counted are
// the places on our grid that stayed empty although the source had readings for them; one empty
// place may be the grid's slack, and is let pass: too few rather than an alarm that is not true.
function countMissed(jump, elapsed) {
  const places = elapsed / Math.max(INTERVAL, period());
  if (places > 2.5) stream.missed += Math.min(jump, Math.round(places)) - 1;
  if (elapsed > 0) stream.periods.push(elapsed / jump);
  if (stream.periods.length > 9) stream.periods.shift();
}

/** Seconds between readings at the source: a median, which one stall does not move. */
function period() {
  const sorted = [...stream.periods].sort((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? INTERVAL;
}

/** Seconds without a reading that are a gap, and no longer the ordinary wait for the next one. */
function patience() {
  return 3 * Math.max(INTERVAL, period());
}

function takeHealth(message) {
  // A status may be older than the heartbeat that came before it.
  const told = message.type === "status" ? message.timestamp : Date.parse(message.timestamp) / 1000;
  if (message.type === "status") {
    if (String(health.status?.modules) !== String(message.modules)) offerModules(message.modules);
    health.status = message;
  }
  if (message.type === "heartbeat") health.viewers = message.active_streams;
  if (message.state && told >= health.told) Object.assign(health, { state: message.state, told });
  soon();
}

// --- what is shown

/** [level, words for everybody, what changes too often to be read aloud] */
function verdict(now, stale) {
  if (link.phase !== "open") {
    if (!link.failed) return ["wait", "Connecting to the bridge", ""];
    const wait = Math.ceil(link.retryAt / 1000 - now);
    const why = link.reason ? ` (${link.reason})` : "";
    const words = (link.wasOpen ? "Connection to the bridge lost" : "The bridge cannot be reached") + why;
    return ["bad", words, link.phase === "waiting" && wait > 0 ? `trying again in ${wait} s` : "trying now"];
  }
  if (stream.error) {
    const { message, recoverable } = stream.error;
    return ["bad", message, recoverable ? "readings will resume by themselves" : ""];
  }
  if (!stream.last) return ["wait", "Waiting for the first reading", ""];
  if (stale) return ["bad", "No fresh readings", ""];
  if (stream.last.quality === "STALE") return ["bad", "The instrument's readings are stale", ""];
  if (stream.last.quality === "INVALID") return ["wait", "Live, but not every value could be read", ""];
  return ["good", "Live", ""];
}

function power(value, unit) {
  if (unit !== "mW") return [minus(value.toFixed(2)), unit];
  const scales = [["mW", 1], ["µW", 1e3], ["nW", 1e6], ["pW", 1e9]];
  const [name, factor] = scales.find(([, f]) => Math.abs(value) * f >= 1) ?? scales[value ? 3 : 0];
  const scaled = value * factor;
  return [minus(scaled.toFixed(Math.abs(scaled) < 100 ? 3 : 2)), name];
}

function show() {
  const now = seconds(), { last } = stream;
  const age = now - stream.arrived;
  const stale = last !== null && age > Math.max(1, patience());
  const [level, words, more] = verdict(now, stale);
  $("state").dataset.level = level;
  say($("state-word"), words);
  say($("state-more"), more);
  say($("stale"), stale ? `stale for ${age < 10 ? age.toFixed(1) : Math.floor(age)} s` : "");
  $("main").toggleAttribute("data-stale", stale || last?.quality === "STALE");

  detectors.forEach(({ card, key, value, unit, note }, i) => {
    const reading = last?.[`ch${i + 1}_power`];
    card.hidden = key.hidden = i >= 4 && reading === undefined;
    const [digits, name] = Number.isFinite(reading) ? power(reading, last.unit) : ["—", last?.unit ?? ""];
    say(value, digits);
    say(unit, name);
    say(note, last && reading === null ? "no reading" : "");
  });
  const nm = last?.wavelength_nm;
  say($("wavelength"), Number.isFinite(nm) ? nm.toFixed(3) : "—");
  say($("wavelength-note"), nm === null ? "no reading" : "");
  say($("time"), last ? new Date(last.timestamp * 1000).toLocaleTimeString() : "—");
  say($("rate"), stream.periods.length ? `${(1 / period()).toFixed(1)} Hz` : "—");
  const { missed } = stream;
  say($("missed"), missed ? `${missed} reading${missed > 1 ? "s" : ""} not shown.` : "");
  if (stream.module && $("module").value !== String(stream.module)) $("module").value = stream.module;
  showHealth();
  document.title = `${words}${stream.module ? ` – module ${stream.module}` : ""} – CTP10`;
}

function showHealth() {
  const { status } = health;
  const state = healthLink.phase === "open" ? health.state : null;
  $("link").dataset.level = { connected: "good", disconnected: "bad" }[state] ?? "wait";
  say($("link-state"), state ?? "unknown");
  const [maker, model, serial, firmware] = status?.instrument?.split(",") ?? [];
  say($("instrument"), model ? `${maker} ${model}` : status?.instrument ?? "CTP10");
  say($("identity"), firmware ? `Serial ${serial} · firmware ${firmware}` : "\u00a0");
  $("simulated").hidden = !status?.simulated;
  say($("address"), status?.address ?? "—");
  say($("viewers"), String(health.viewers ?? "—"));
}

/** The configured modules come first; any other can be looked at too. */
function offerModules(configured) {
  const before = $("module").value;
  $("configured").replaceChildren(...configured.map((n) => new Option(n, n)));
  const others = Array.from({ length: 20 }, (_, i) => i + 1).filter((n) => !configured.includes(n));
  $("others").replaceChildren(...others.map((n) => new Option(n, n)));
  $("module").value = before;
}

// Messages may come faster than frames; who prefers less motion gets two changes a second.
let pending = false, drawn = 0;
function soon() {
  if (pending) return;
  pending = true;
  requestAnimationFrame(() => {
    pending = false;
    if (calm.matches && seconds() - drawn < 0.5) return;
    drawn = seconds();
    show();
    chart.draw(stream.offset === null ? 0 : seconds() - stream.offset);
  });
}

offerModules([]);
$("module").onchange = ({ target }) => {
  if (!target.value) return;
  history.replaceState(null, "", `?module=${target.value}`);
  watchModule(Number(target.value));
};
const asked = new URLSearchParams(location.search).get("module") ?? "";
const healthLink = connect(address("/ws/health"), takeHealth, soon);
watchModule(/^([1-9]|1[0-9]|20)$/.test(asked) ? Number(asked) : null);
// Ages grow though nothing arrives; and a hidden page, which gets no frames, keeps its title true.
setInterval(() => (document.hidden ? show() : soon()), 200);
