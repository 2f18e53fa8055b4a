"use strict";
// Pictures of one scan: from above, and on the camera image.
ignet.panel = (place, caption) => {
  const canvas = ignet.element("canvas", { role: "img", "aria-label": caption });
  place.append(ignet.element("figure", {}, ignet.element("figcaption", {}, caption), canvas));
  return canvas;
};

// forward up, left left; what is higher hides what is lower, and what has a label hides what has none
ignet.drawAbove = (canvas, frame, painted, extent) => {
  const side = (canvas.width = canvas.height = 640);
  const context = canvas.getContext("2d");
  context.fillStyle = ignet.css("--scan");
  context.fillRect(0, 0, side, side);
  const scale = side / (2 * extent);
  ignet.drawRings(context, frame, side, scale, extent);
  const pixels = context.getImageData(0, 0, side, side);
  const words = new Uint32Array(pixels.data.buffer);
  const colors = new Uint32Array(painted.colors.buffer);
  for (const labelled of [false, true]) {
    const size = labelled ? 3 : 2;
    for (const i of ignet.byHeight(frame)) {
      if ((painted.groups[i] !== ignet.NONE) !== labelled) continue;
      const left = Math.round(side / 2 - frame.xyz[3 * i + 1] * scale) - 1;
      const top = Math.round(side / 2 - frame.xyz[3 * i] * scale) - 1;
      if (left < 0 || top < 0 || left >= side - size || top >= side - size) continue;
      for (let row = 0; row < size; row++) words.fill(colors[i], (top + row) * side + left, (top + row) * side + left + size);
    }
  }
  context.putImageData(pixels, 0, 0);
};

ignet.byHeight = (frame) => {
  if (!frame.order) frame.order = Uint32Array.from({ length: frame.points }, (_, i) => i).sort((a, b) => frame.xyz[3 * a + 2] - frame.xyz[3 * b + 2]);
  return frame.order;
};

ignet.drawRings = (context, frame, side, scale, extent) => {
  const middle = side / 2;
  context.fillStyle = ignet.css("--back");
  for (const [low, high] of frame.sectors) {
    context.beginPath();
    context.moveTo(middle, middle);
    // azimuth a, counted from forward to the left, is the canvas's angle -90 degrees - a
    context.arc(middle, middle, 2 * side, -Math.PI / 2 - (high < low ? high + 2 * Math.PI : high), -Math.PI / 2 - low);
    context.fill();
  }
  context.strokeStyle = ignet.css("--line");
  context.lineWidth = 1.5;
  for (let radius = 10; radius < extent * 1.5; radius += 10) {
    context.beginPath();
    context.arc(middle, middle, radius * scale, 0, 2 * Math.PI);
    context.stroke();
  }
};

ignet.showAbove = async (number) => {
  const frame = await ignet.frame(number);
  const { extent, headline } = ignet.options;
  const place = document.getElementById("above-panels");
  place.replaceChildren();
  const wanted = [];
  if (frame.layers.truth) wanted.push(["ground truth", "truth", ""]);
  if (frame.layers.scribble) wanted.push(["scribbles", "scribble", ""]);
  const runs = headline.filter((run) => `run:${run}` in frame.layers);
  for (const run of runs) wanted.push([run, "run", run]);
  for (const run of runs) if (run in frame.wrong) wanted.push([`${run}: ${(100 * frame.wrong[run]).toFixed(1)} % wrong`, "error", run]);
  const legends = [];
  for (const [caption, mode, run] of wanted) {
    const painted = ignet.paint(frame, mode, run);
    ignet.drawAbove(ignet.panel(place, caption), frame, painted, extent);
    legends.push(...painted.entries);
  }
  const absent = frame.layers.scribble ? [] : ["no scribbles are drawn on this scan"];
  if (!runs.length) absent.push("a training scan: the runs predict validation scans alone");
  if (absent.length) place.append(ignet.element("p", { class: "absent" }, `${absent.join("; ")}.`));
  const entries = [...new Map(legends.map((entry) => [entry.name, entry])).values()];
  ignet.legend(document.getElementById("above-legend"), { entries });
};

ignet.drawImage = (canvas, frame, overlay, strength) => {
  canvas.width = frame.image.width;
  canvas.height = frame.image.height;
  const context = canvas.getContext("2d");
  context.drawImage(frame.picture, 0, 0, canvas.width, canvas.height);
  if (overlay) {
    context.globalAlpha = strength;
    context.drawImage(overlay, 0, 0, canvas.width, canvas.height);
    context.globalAlpha = 1;
  }
  return context;
};

// ids: classes of the visible points, 255 for none
ignet.drawPixels = (canvas, frame, ids, classes) => {
  const context = ignet.drawImage(canvas, frame);
  context.fillStyle = "rgba(0,0,0,0.45)";
  context.fillRect(0, 0, canvas.width, canvas.height);
  const size = Math.max(2, canvas.width / 260);
  for (let k = 0; k < frame.seen.count; k++) {
    if (ids[k] === ignet.NONE) continue;
    context.fillStyle = `rgb(${classes[ids[k]].color.join()})`;
    context.fillRect(frame.seen.u[k] - size / 2, frame.seen.v[k] - size / 2, size, size);
  }
};

ignet.showImages = async (number) => {
  const whole = await ignet.frame(number);
  const frame = ignet.ofCamera(whole, ignet.chosenCamera(document.getElementById("images-camera"), whole));
  const place = document.getElementById("images-panels");
  // without networks that name street classes, what is shown of the points are their own classes
  const frozen = !ignet.options.networks.length;
  const classes = frozen ? ignet.classes.lidar : ignet.classes.street;
  const layer = (ids) => ids && Uint8Array.from(frame.seen.index, (i) => ids[i]);
  const labels = frozen ? layer(frame.layers.truth) : frame.seen.street;
  const scribbles = frozen ? layer(frame.layers.scribble) : frame.seen.scribble;
  place.replaceChildren();
  const absent = frame.role === "train" && !frozen ? ["a training scan: the adaptation has seen this image; the list has validation scans too"] : [];
  ignet.drawImage(ignet.panel(place, "camera image"), frame);
  if (labels) ignet.drawPixels(ignet.panel(place, `labels of the visible points${frozen ? "" : ", as street classes"}`), frame, labels, classes);
  if (scribbles?.some((id) => id !== ignet.NONE)) {
    ignet.drawPixels(ignet.panel(place, `projected scribbles${frozen ? "" : ": what the adaptation sees of them"}`), frame, scribbles, classes);
  } else {
    absent.push(`no projected scribbles${frozen ? "" : ": only those of training scans reach the camera's image"}`);
  }
  for (const name of ignet.options.networks) {
    const wrong = frame.networks[name].wrong;
    const note = wrong === null || wrong === undefined ? "" : `: ${(100 * wrong).toFixed(1)} % of the labelled points wrong`;
    ignet.drawImage(ignet.panel(place, `${name}${note}`), frame, frame.maps[name], 0.65);
  }
  if (frame.features) {
    ignet.drawImage(ignet.panel(place, "features, image"), frame, frame.features.image, 1);
    const canvas = ignet.panel(place, "features, at the points");
    ignet.drawPixels(canvas, frame, Uint8Array.from({ length: frame.seen.count }, () => ignet.NONE), classes);
    const context = canvas.getContext("2d");
    const size = Math.max(2, canvas.width / 260);
    for (let k = 0; k < frame.seen.count; k++) {
      context.fillStyle = `rgb(${frame.features.points.subarray(3 * k, 3 * k + 3).join()})`;
      context.fillRect(frame.seen.u[k] - size / 2, frame.seen.v[k] - size / 2, size, size);
    }
  }
  if (absent.length) place.append(ignet.element("p", { class: "absent" }, `${absent.join("; ")}.`));
  ignet.legend(document.getElementById("images-legend"), { entries: classes.map(({ name, color }) => ({ name, color })) });
};

// redrawn one at a time: the last choice is what is seen, however long a scan takes to open
ignet.startPanels = async () => {
  const shows = { images: ignet.showImages, above: ignet.showAbove };
  for (const [name, show] of Object.entries(shows)) {
    const select = document.getElementById(`${name}-scan`);
    if (!select) continue;
    ignet.fill(select, ignet.frameNames.map((text, number) => [number, text]));
    // scribbles are projected into training images alone
    if (name === "images" && ignet.firstTraining >= 0) select.value = ignet.firstTraining;
    let running = Promise.resolve();
    const draw = () => { running = running.then(() => show(Number(select.value))).catch((error) => ignet.fault(name, error)); return running; };
    select.addEventListener("change", draw);
    document.getElementById(`${name}-camera`)?.addEventListener("change", draw);
    ignet.themed.push(draw);
    await draw();
  }
};
