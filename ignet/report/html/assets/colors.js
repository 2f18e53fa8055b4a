"use strict";
// Colours of points: for each way of colouring the colour and the group of each point, and the legend's entries.
ignet.NONE = 255;
ignet.RIGHT = [150, 156, 164];
ignet.WRONG = [226, 40, 40];

ignet.modes = (frame) => {
  const modes = [];
  if (Object.keys(frame.layers).some((name) => name.startsWith("run:"))) modes.push(["run", "prediction of the run"]);
  if (frame.layers.truth) modes.push(["truth", "ground truth"]);
  if (frame.layers.truth && modes[0]?.[0] === "run") modes.push(["error", "errors of the run"]);
  if (frame.layers.scribble) modes.push(["scribble", "scribbles"]);
  modes.push(["distance", "distance"], ["height", "height"], ["fov", "camera's view"]);
  if (frame.features) modes.push(["features", "features of the image"]);
  return modes;
};

ignet.hex = (text) => [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16));

// viridis at nine places, from its published table
ignet.ramp = [[68, 1, 84], [71, 44, 122], [59, 81, 139], [44, 113, 142], [33, 144, 141], [39, 173, 129], [92, 200, 99], [170, 220, 50], [253, 231, 37]];
ignet.rampColor = (share) => {
  const place = Math.min(Math.max(share, 0), 1) * (ignet.ramp.length - 1);
  const low = Math.min(Math.floor(place), ignet.ramp.length - 2);
  return ignet.ramp[low].map((value, k) => Math.round(value + (place - low) * (ignet.ramp[low + 1][k] - value)));
};

ignet.paint = (frame, mode, run) => {
  const pale = ignet.hex(ignet.css("--pale"));
  const { points, layers } = frame;
  if (mode === "run" || mode === "truth" || mode === "scribble") {
    return ignet.byClass(mode === "run" ? layers[`run:${run}`] : layers[mode], "class", ignet.classes.lidar, pale);
  }
  const groups = new Uint8Array(points);
  if (mode === "error") {
    const [truth, predicted] = [layers.truth, layers[`run:${run}`]];
    for (let i = 0; i < points; i++) groups[i] = truth[i] === ignet.NONE ? 2 : truth[i] === predicted[i] ? 0 : 1;
    return ignet.grouped(groups, "error", [["right", ignet.RIGHT], ["wrong", ignet.WRONG], ["no label", pale]]);
  }
  if (mode === "fov") {
    for (let i = 0; i < points; i++) groups[i] = frame.seen.of[i] < 0 ? 1 : 0;
    return ignet.grouped(groups, "fov", [["in the camera's view", [42, 145, 235]], ["outside", ignet.RIGHT]]);
  }
  const colors = new Uint8Array(4 * points).fill(255);
  if (mode === "features") {
    for (let i = 0; i < points; i++) {
      const k = frame.seen.of[i];
      groups[i] = k < 0 ? 1 : 0;
      colors.set(k < 0 ? pale : frame.features.points.subarray(3 * k, 3 * k + 3), 4 * i);
    }
    return { kind: "features", groups, colors, entries: [{ group: 1, name: "outside the camera's view", color: pale }] };
  }
  const value = mode === "height" ? (i) => frame.xyz[3 * i + 2] : (i) => Math.hypot(frame.xyz[3 * i], frame.xyz[3 * i + 1], frame.xyz[3 * i + 2]);
  const [low, high] = mode === "height" ? [-2, 4] : [0, 60];
  for (let i = 0; i < points; i++) colors.set(ignet.rampColor((value(i) - low) / (high - low)), 4 * i);
  return { kind: mode, groups, colors, entries: [], gradient: [`${low} m`, `${high} m`] };
};

ignet.grouped = (groups, kind, named) => {
  const colors = new Uint8Array(4 * groups.length).fill(255);
  for (let i = 0; i < groups.length; i++) colors.set(named[groups[i]][1], 4 * i);
  const present = new Set(groups);
  return { kind, groups, colors, entries: named.map(([name, color], group) => ({ group, name, color })).filter(({ group }) => present.has(group)) };
};

ignet.byClass = (ids, kind, classes, pale) => {
  const colors = new Uint8Array(4 * ids.length).fill(255);
  for (let i = 0; i < ids.length; i++) colors.set(ids[i] === ignet.NONE ? pale : classes[ids[i]].color, 4 * i);
  const present = new Set(ids);
  const entries = classes.map(({ name, color }, group) => ({ group, name, color })).filter(({ group }) => present.has(group));
  if (present.has(ignet.NONE)) entries.push({ group: ignet.NONE, name: "no label", color: pale });
  return { kind, groups: ids, colors, entries };
};

// chips: buttons that toggle, or plain words where there is nothing to toggle
ignet.legend = (place, painted, hidden, toggle) => {
  const dot = ({ color }) => ignet.element("i", { style: `background:rgb(${color.join()})` });
  const chips = painted.entries.map((entry) => {
    if (!toggle) return ignet.element("span", { class: "chip" }, dot(entry), entry.name);
    const attributes = { type: "button", class: "chip", "data-group": entry.group, "aria-pressed": String(!hidden.has(entry.group)) };
    return ignet.element("button", { ...attributes, on: { click: () => toggle(entry.group) } }, dot(entry), entry.name);
  });
  if (painted.gradient) {
    const stops = ignet.ramp.map((color) => `rgb(${color.join()})`).join();
    const bar = ignet.element("i", { class: "gradient", style: `background:linear-gradient(90deg,${stops});border-radius:6px;width:140px` });
    chips.push(ignet.element("span", { class: "chip" }, painted.gradient[0], bar, painted.gradient[1]));
  }
  place.replaceChildren(...chips);
};
