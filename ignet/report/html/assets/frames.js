"use strict";
// Scans: unpacked once, when they are first asked for.
ignet.startFrames = () => {
  ignet.frameCount = document.querySelectorAll("script.frame").length;
  ignet.frameCache = new Map();
  ignet.frameNames = [];
  ignet.firstTraining = -1;
  for (let number = 0; number < ignet.frameCount; number++) {
    // the name stands first in the text, so that the rest need not be read for it
    const head = document.getElementById(`frame-${number}`).textContent.slice(0, 300);
    const [name, role] = ["name", "role"].map((key) => new RegExp(`"${key}":"([^"]*)"`).exec(head)[1]);
    if (role === "train" && ignet.firstTraining < 0) ignet.firstTraining = number;
    ignet.frameNames.push(`${name} (${role === "val" ? "validation" : "training"})`);
  }
};

ignet.frame = (number) => {
  if (!ignet.frameCache.has(number)) {
    const found = JSON.parse(document.getElementById(`frame-${number}`).textContent);
    ignet.frameCache.set(number, ignet.openFrame(found));
  }
  return ignet.frameCache.get(number);
};

ignet.openFrame = async (found) => {
  const points = found.points;
  const packed = await ignet.unpack(found.xyz, Int16Array);
  const xyz = new Float32Array(3 * points);
  for (let axis = 0; axis < 3; axis++) {
    for (let i = 0; i < points; i++) xyz[3 * i + axis] = packed[axis * points + i] * found.unit;
  }
  const layers = {};
  for (const [name, text] of Object.entries(found.layers)) layers[name] = await ignet.unpack(text, Uint8Array);
  const seen = await ignet.openSeen(found, points);
  const features = found.features ? { points: await ignet.unpack(found.features, Uint8Array) } : null;
  const views = await Promise.all(found.views.map(ignet.openView));
  return { ...found, xyz, layers, seen, views, features };
};

ignet.openImage = async (data) => {
  const image = new Image();
  image.src = data;
  await image.decode();
  return image;
};

ignet.openView = async (found) => {
  const maps = {};
  for (const [name, { map }] of Object.entries(found.networks)) maps[name] = await ignet.openImage(map);
  const colored = found.features ? await ignet.openImage(found.features) : null;
  return { ...found, picture: await ignet.openImage(found.image.data), maps, colored };
};

// the scan as one camera saw it: its image, and of the visible points those that lie in it
ignet.ofCamera = (frame, number) => {
  const view = frame.views[number];
  const { seen } = frame;
  const rows = Int32Array.from({ length: seen.count }, (_, k) => k).filter((k) => seen.camera[k] === view.camera);
  const pick = (values) => values && values.constructor.from(rows, (k) => values[k]);
  const own = { count: rows.length, rows };
  for (const name of ["index", "u", "v", "scribble", "street"]) own[name] = pick(seen[name]);
  const points = frame.features && Uint8Array.from({ length: 3 * rows.length }, (_, i) => frame.features.points[3 * rows[Math.floor(i / 3)] + (i % 3)]);
  return { ...frame, ...view, seen: own, features: frame.features && { image: view.colored, points } };
};

// the view that a list of the scan's cameras says; of a rig with one camera the list is hidden
ignet.chosenCamera = (select, frame) => {
  const chosen = select.value;
  ignet.fill(select, frame.views.map(({ camera }) => [camera, camera]));
  if (frame.views.some(({ camera }) => String(camera) === chosen)) select.value = chosen;
  select.closest("label").hidden = frame.views.length < 2;
  return select.selectedIndex;
};

// index: point numbers; u, v: pixels; of: for each point its place among these, or -1
ignet.openSeen = async (found, points) => {
  const gaps = await ignet.unpack(found.seen.gaps, Int32Array);
  const pixel = await ignet.unpack(found.seen.pixel, Uint16Array);
  const count = gaps.length;
  const index = new Int32Array(count);
  const of = new Int32Array(points).fill(-1);
  let number = 0;
  for (let k = 0; k < count; k++) { number += gaps[k]; index[k] = number; of[number] = k; }
  const [u, v] = [new Float32Array(count), new Float32Array(count)];
  for (let k = 0; k < count; k++) { u[k] = pixel[k] / 16; v[k] = pixel[count + k] / 16; }
  const open = (text) => (text ? ignet.unpack(text, Uint8Array) : null);
  const [camera, scribble, street] = [await open(found.seen.camera), await open(found.seen.scribble), await open(found.seen.street)];
  return { count, index, of, u, v, camera, scribble, street };
};
