// The page's script: draws what /page/live says every second, and sends the forms to /predict.
"use strict";

const KEPT = 120; // points of a plot: two minutes
const BEFORE_S = 60; // that a plot begins before its first point: of one point alone uPlot would show years
const EVERY_MS = 1000;
const QUANTILES = [0.5, 0.95, 0.99];

const byId = (id) => document.getElementById(id);

function headers() {
  const key = sessionStorage.getItem("key");
  return key ? { "X-API-Key": key } : {};
}

async function get(path) {
  const response = await fetch(path, { headers: headers() });
  if (response.status === 401 || response.status === 403) {
    byId("key").hidden = false;
  }
  if (!response.ok) {
    throw new Error(`${path}: ${response.status}`);
  }
  return response;
}

// -- plots

// As in live.py: the quantile within its bucket by straight line.
function quantile(share, bounds, buckets) {
  const total = buckets.reduce((sum, count) => sum + count, 0);
  if (total <= 0) {
    return null;
  }
  const rank = share * total;
  let before = 0;
  for (let k = 0; k < buckets.length; k++) {
    if (buckets[k] > 0 && before + buckets[k] >= rank) {
      if (k === bounds.length) {
        return bounds[bounds.length - 1];
      }
      const low = k > 0 ? bounds[k - 1] : 0;
      return low + ((bounds[k] - low) * (rank - before)) / buckets[k];
    }
    before += buckets[k];
  }
  return bounds[bounds.length - 1];
}

// Requests of all models, by bucket.
function summed(live) {
  const buckets = new Array(live.bounds_s.length + 1).fill(0);
  for (const model of live.models) {
    model.buckets.forEach((count, k) => (buckets[k] += count));
  }
  return buckets;
}

function plot(title, series, unit) {
  const soft = { stroke: () => resolved("--soft"), grid: { stroke: () => resolved("--line"), width: 1 } };
  const options = {
    title,
    width: 400,
    height: 220,
    cursor: { drag: { x: false, y: false } },
    scales: { y: { range: (_, low, high) => [0, high * 1.1 || 1] } }, // nothing but zeros still has an axis to read
    axes: [soft, { ...soft, size: 70, values: (_, ticks) => ticks.map((tick) => `${+tick.toPrecision(3)}${unit}`) }],
    series: [{}, ...series],
  };
  const cell = byId("plots").appendChild(document.createElement("div"));
  const made = new uPlot(options, [[], ...series.map(() => [])], cell);
  new ResizeObserver(() => made.setSize({ width: cell.clientWidth, height: 220 })).observe(cell);
  return made;
}

// A colour of the style sheet, as canvas wants it: light-dark() has to be resolved first.
const probe = document.createElement("span");
function resolved(name) {
  probe.style.color = `var(${name})`;
  return getComputedStyle(probe).color;
}

const points = []; // { time, rate, quantiles }
let plots = null;
let last = null;

function draw() {
  if (plots === null) {
    document.body.append(probe);
    const line = (label, name, dash) => ({ label, stroke: () => resolved(name), width: 2, dash, spanGaps: false });
    plots = {
      rate: plot("Requests per second", [line("all models", "--accent")], ""),
      time: plot(
        "Latency in the server",
        [line("p50", "--accent"), line("p95", "--soft", [6, 3]), line("p99", "--bad")],
        " ms",
      ),
    };
  }
  const times = points.map((point) => point.time);
  plots.rate.setData([times, points.map((point) => point.rate)]);
  plots.time.setData([times, ...QUANTILES.map((_, k) => points.map((point) => point.quantiles[k]))]);
}

function take(live) {
  const buckets = summed(live);
  if (last !== null) {
    const seconds = live.monotonic_s - last.live.monotonic_s;
    const fresh = buckets.map((count, k) => count - last.buckets[k]);
    // After a restart counts begin again.
    if (seconds > 0 && fresh.every((count) => count >= 0)) {
      const count = fresh.reduce((sum, each) => sum + each, 0);
      const times = QUANTILES.map((share) => quantile(share, live.bounds_s, fresh));
      const time = Date.now() / 1000;
      if (points.length === 0) {
        points.push({ time: time - BEFORE_S, rate: null, quantiles: QUANTILES.map(() => null) });
      }
      points.push({
        time,
        rate: count / seconds,
        quantiles: times.map((each) => (each === null ? null : each * 1000)),
      });
      points.splice(0, points.length - KEPT);
      draw();
      const gauges = live.gauges;
      byId("now").textContent =
        `${(count / seconds).toFixed(1)} requests per second, ${gauges.in_flight ?? 0} in work, ` +
        `${gauges.queue_depth ?? 0} waiting, ${live.shed} shed, ${live.errors} errors since the start`;
    }
  }
  last = { live, buckets };
}

let shown = null;

async function poll() {
  try {
    const live = await (await get("page/live")).json();
    byId("live").hidden = false;
    take(live);
    const models = live.models.map((model) => `${model.name}@${model.version}`).join("\n");
    // What came with the page is right; after that, only what changed is fetched: forms keep what is typed.
    if ((shown === null && !document.querySelector("form.try")) || (shown !== null && shown !== models)) {
      byId("models").innerHTML = await (await get("page/models")).text();
    }
    shown = models;
  } catch (error) {
    byId("now").textContent = `No answer from the server: ${error.message}`;
  }
  setTimeout(poll, EVERY_MS);
}

// -- forms

function features(form) {
  const text = form.querySelector("textarea[name=features]");
  if (text) {
    return JSON.parse(text.value);
  }
  return [...form.querySelectorAll("[data-column]")].map((field) => {
    if (field.dataset.kind === "number") {
      return field.value === "" ? null : Number(field.value);
    }
    const missing = field.selectedOptions ? "missing" in field.selectedOptions[0].dataset : field.value === "";
    return missing ? null : field.value;
  });
}

// Of those, the most probable are shown.
const MOST_CLASSES = 5;

async function predict(form) {
  const output = form.querySelector("output");
  try {
    const response = await fetch("predict", {
      method: "POST",
      headers: { "Content-Type": "application/json", ...headers() },
      body: JSON.stringify({
        model_id: form.dataset.model,
        features: features(form),
        options: "probabilities" in form.dataset ? { top_k: MOST_CLASSES } : {},
      }),
    });
    const answer = await response.json();
    output.className = response.ok ? "" : "error";
    output.textContent = response.ok ? said(answer) : `${answer.code ?? response.status}: ${answer.message}`;
  } catch (error) {
    output.className = "error";
    output.textContent = error.message;
  }
}

function said(answer) {
  const number = (each) => (each === null ? "–" : +each.toPrecision(4));
  const top = answer.top?.flat().map((each) => `${each.class} ${number(each.probability)}`);
  const shown = top ? `, probabilities ${top.join(", ")}` : "";
  return `${JSON.stringify(answer.prediction)}${shown} (${answer.latency_ms} ms)`;
}

document.addEventListener("submit", (event) => {
  event.preventDefault();
  if (event.target.id === "key") {
    sessionStorage.setItem("key", event.target.elements.key.value);
    event.target.hidden = true;
  } else {
    predict(event.target);
  }
});

poll();
