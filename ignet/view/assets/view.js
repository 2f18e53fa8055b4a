"use strict";
// Asks for the state every three seconds, and for the curves every fifteen; not while nobody looks.
ignet.hiddenRuns = new Set();
ignet.charts = {};

ignet.ask = async (path) => {
  const answer = await fetch(path, { cache: "no-store" });
  if (!answer.ok) throw new Error((await answer.text()).trim());
  return answer.json();
};

ignet.bar = (share) => ignet.element("div", { class: "bar" }, ignet.element("i", { style: `width:${(100 * share).toFixed(1)}%` }));

ignet.rows = (id, rows) => {
  const make = (cells) => ignet.element("tr", {}, ...cells.map(([value, kind]) => ignet.element("td", { class: kind || "" }, value)));
  document.querySelector(`#${id} tbody`).replaceChildren(...rows.map(make));
};

ignet.showState = (found) => {
  const state = found.alive ? `at work, about ${found.left} left` : found.done === found.jobs ? "done" : "not running: start the workflow again, and it resumes";
  document.getElementById("state").textContent = `${found.done} of ${found.jobs} jobs done; ${state}; started ${found.started}`;
  document.title = `${Math.floor(100 * found.share)} % – ${document.querySelector("h1").textContent}`;
  const whole = document.getElementById("whole");
  whole.firstElementChild.style.width = `${100 * found.share}%`;
  whole.setAttribute("aria-valuenow", String(Math.round(100 * found.share)));
  const guess = found.guessed.length ? `The time left counts with a table of throughputs, measured elsewhere, for ${found.guessed.join(", ")}.` : "";
  document.getElementById("guess").textContent = guess;
  document.getElementById("report").hidden = !found.report;
  const running = found.running.map((job) => [[job.name + (job.state === "stopped" ? " (stopped)" : "")], [ignet.bar(job.share)], [job.time, "number"], [job.left, "number"], [job.words, "words"]]);
  ignet.rows("running", running.length ? running : [[["none"]]]);
  ignet.rows("stages", found.stages.map((stage) => [[stage.rule], [ignet.bar(stage.done / stage.jobs)], ...[stage.done, stage.jobs, stage.running, stage.time].map((value) => [String(value), "number"])]));
};

ignet.showCurves = (groups) => {
  const place = document.getElementById("groups");
  const names = groups.flatMap(({ title, charts }) => Object.keys(charts).map((name) => `${title}: ${name}`));
  if (place.dataset.names !== names.join()) {
    place.dataset.names = names.join();
    place.replaceChildren(...groups.flatMap(({ title, charts }) => [
      ignet.element("h3", {}, title),
      ignet.element("div", { class: "chips", "data-group": title }),
      ignet.element("div", { class: "grid" }, ...Object.keys(charts).map((name) => ignet.element("div", { class: "chart", "data-chart": `${title}: ${name}`, role: "img", "aria-label": name }))),
    ]));
  }
  if (!names.length) place.textContent = "No training has begun.";
  for (const { title, runs, charts } of groups) {
    const dot = (color) => ignet.element("i", { style: `background:${color}` });
    place.querySelector(`[data-group="${title}"]`).replaceChildren(...runs.map(([run, color]) => ignet.element("span", { class: "chip" }, dot(color), run)));
    for (const [name, figure] of Object.entries(charts)) ignet.charts[`${title}: ${name}`] = figure;
  }
  return ignet.drawAll();
};

ignet.again = (path, show, seconds) => {
  const faults = document.getElementById("faults");
  const turn = async () => {
    if (!document.hidden) {
      try { await show(await ignet.ask(path)); faults.hidden = true; } catch (error) {
        faults.hidden = false;
        faults.textContent = `No answer of the view: ${error.message || error}. Is ignet view still running?`;
      }
    }
    setTimeout(turn, 1000 * seconds);
  };
  return turn();
};

ignet.startTheme();
ignet.themed.push(() => ignet.drawAll());
ignet.ready = Promise.all([ignet.again("/status.json", ignet.showState, 3), ignet.again("/curves.json", ignet.showCurves, 15)]);
