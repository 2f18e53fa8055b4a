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
  const image = new Image();
  image.src = found.image.data;
  const maps = {};
  for (const [name, { map }] of Object.entries(found.networks)) { maps[name] = new Image(); maps[name].src = map; }
  let features = null;
  if (found.features) {
    features = { image: new Image(), points: await ignet.unpack(found.features.points, Uint8Array) };
    features.image.src = found.features.image;
  }
  await Promise.all([image, ...Object.values(maps), ...(features ? [features.image] : [])].map((each) => each.decode()));
  return { ...found, xyz, layers, seen, picture: image, maps, features };
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
  return { count, index, of, u, v, scribble: await open(found.seen.scribble), street: await open(found.seen.street) };
};
