"use strict";
// The 3D viewer: choices, pointer, keys, legend, the camera image beside it.
ignet.Viewer = class {
  constructor() {
    for (const name of ["scan", "run", "mode", "camera", "size", "canvas", "mark", "image", "point", "legend"]) this[name] = document.getElementById(`viewer-${name}`);
    this.cloud = new ignet.PointCloud(this.canvas);
    this.cloud.drawn = () => this.placeMark();
    this.hidden = {};
    this.hovered = -1;
    ignet.fill(this.scan, ignet.frameNames.map((text, number) => [number, text]));
    this.scan.addEventListener("change", () => this.open());
    for (const select of [this.run, this.mode]) select.addEventListener("change", () => this.paint());
    this.camera.addEventListener("change", () => this.lookThrough());
    this.size.addEventListener("input", () => { this.cloud.size = Number(this.size.value); this.cloud.draw(); });
    const act = (name, what) => document.getElementById(`viewer-${name}`).addEventListener("click", what);
    act("reset", () => { this.cloud.camera.reset(); this.cloud.draw(); });
    act("top", () => { this.cloud.camera.top(); this.cloud.draw(); });
    act("ply", () => ignet.savePly(this));
    ignet.themed.push(() => this.frame && this.paint());
    new ResizeObserver(() => this.cloud.draw()).observe(this.canvas);
    this.listenToPointers();
    this.listenToKeys();
    this.listenToImage();
  }

  async open() {
    const number = Number(this.scan.value);
    const frame = await ignet.frame(number);
    if (number !== Number(this.scan.value)) return; // another scan was chosen meanwhile
    const [mode, run] = [this.mode.value, this.run.value];
    // sparse scans get larger points
    if (!this.frame || this.frame.points !== frame.points) this.size.value = this.cloud.size = Math.min(Math.max(4 * Math.sqrt(50000 / frame.points), 3), 7);
    this.frame = frame;
    this.hovered = -1;
    this.lookThrough();
    const runs = ignet.options.runs.filter((name) => `run:${name}` in frame.layers);
    ignet.fill(this.run, runs.length ? runs.map((name) => [name, name]) : [["", "none on training scans"]]);
    this.run.disabled = !runs.length;
    if (runs.length) this.run.value = runs.includes(run) ? run : ignet.options.headline.at(-1);
    const modes = ignet.modes(frame);
    ignet.fill(this.mode, modes);
    this.mode.value = modes.some(([name]) => name === mode) ? mode : modes[0][0];
    this.paint();
  }

  // the image of the chosen camera beside the scan
  lookThrough() {
    this.view = ignet.ofCamera(this.frame, ignet.chosenCamera(this.camera, this.frame));
    ignet.drawImage(this.image, this.view);
  }

  paint() {
    const painted = (this.painted = ignet.paint(this.frame, this.mode.value, this.run.value));
    this.hidden[painted.kind] ??= new Set();
    const hidden = this.hidden[painted.kind];
    for (let i = 0; i < painted.groups.length; i++) painted.colors[4 * i + 3] = hidden.has(painted.groups[i]) ? 0 : 255;
    this.cloud.set(this.frame.xyz, painted.colors);
    ignet.legend(this.legend, painted, hidden, (group) => this.toggle(group));
    this.hover(this.hovered);
  }

  toggle(group) {
    const hidden = this.hidden[this.painted.kind];
    hidden[hidden.has(group) ? "delete" : "add"](group);
    this.paint();
    this.legend.querySelector(`[data-group="${group}"]`)?.focus(); // the button was made anew
  }

  // the point's place in both pictures, and what is known of it
  hover(i) {
    this.hovered = i;
    const seeing = i < 0 ? -1 : this.frame.seen.of[i];
    // the camera that sees the point shows it
    if (seeing >= 0 && this.frame.seen.camera[seeing] !== this.view.camera) {
      this.camera.value = this.frame.seen.camera[seeing];
      this.lookThrough();
    }
    const context = ignet.drawImage(this.image, this.view);
    this.placeMark();
    if (i < 0) { this.point.textContent = "No point under the pointer."; return; }
    const { xyz, layers, seen } = this.frame;
    const name = (ids) => (ids ? (ids[i] === ignet.NONE ? "no label" : ignet.classes.lidar[ids[i]].name) : "not known");
    const distance = Math.hypot(xyz[3 * i], xyz[3 * i + 1], xyz[3 * i + 2]);
    const words = [`point ${i}: ${name(layers.truth)}`];
    if (this.run.value) words.push(`${this.run.value} says ${name(layers[`run:${this.run.value}`])}`);
    if (layers.scribble && layers.scribble[i] !== ignet.NONE) words.push("on a scribble");
    words.push(`${distance.toFixed(1)} m away`, seen.of[i] < 0 ? "outside the camera's view" : "in the camera's view");
    this.point.textContent = `${words.join(", ")}.`;
    const k = seeing;
    if (k < 0) return;
    const radius = this.image.width / 60;
    for (const [color, width] of [["#000", radius / 2], ["#fff", radius / 4]]) {
      context.strokeStyle = color;
      context.lineWidth = width;
      context.beginPath();
      context.arc(seen.u[k], seen.v[k], radius, 0, 2 * Math.PI);
      context.stroke();
    }
  }

  placeMark() {
    const place = this.hovered >= 0 && this.cloud.view ? this.cloud.project(this.hovered) : null;
    this.mark.hidden = !place;
    // a projected place is counted from within the canvas's border, the mark from without
    const { clientLeft, clientTop } = this.canvas;
    if (place) Object.assign(this.mark.style, { left: `${place.left + clientLeft}px`, top: `${place.top + clientTop}px` });
  }

  listenToPointers() {
    const { canvas, cloud } = this;
    const down = new Map();
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("pointerdown", (event) => { canvas.focus(); canvas.setPointerCapture(event.pointerId); down.set(event.pointerId, event); });
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, (event) => down.delete(event.pointerId));
    canvas.addEventListener("pointerleave", () => down.size || this.hover(-1));
    canvas.addEventListener("pointermove", (event) => {
      const before = down.get(event.pointerId);
      if (!before) { this.look(event); return; }
      const [right, lower] = [event.clientX - before.clientX, event.clientY - before.clientY];
      const side = canvas.clientHeight;
      if (down.size > 1) this.pinch(down, before, event);
      else if (event.buttons & 2 || event.shiftKey) cloud.camera.move(-right / side, lower / side);
      else cloud.camera.turn((3 * right) / side, (3 * lower) / side);
      down.set(event.pointerId, event);
      cloud.draw();
    });
    // the wheel scrolls the page until the scan has the focus
    canvas.addEventListener("wheel", (event) => {
      if (document.activeElement !== canvas) return;
      event.preventDefault();
      cloud.camera.zoom(Math.exp(event.deltaY * 0.001));
      cloud.draw();
    }, { passive: false });
  }

  // two fingers: their distance zooms, their middle moves
  pinch(down, before, event) {
    const other = [...down.values()].find((each) => each.pointerId !== event.pointerId);
    const far = (one) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY) || 1;
    this.cloud.camera.zoom(far(before) / far(event));
    const side = 2 * this.canvas.clientHeight;
    this.cloud.camera.move((before.clientX - event.clientX) / side, (event.clientY - before.clientY) / side);
  }

  // once a frame at most: a search among 125,000 points takes a millisecond or two
  look(event) {
    this.pointer = [event.offsetX, event.offsetY];
    if (this.looking || !this.frame) return;
    this.looking = true;
    requestAnimationFrame(() => {
      this.looking = false;
      const found = this.cloud.pick(...this.pointer);
      if (found !== this.hovered) this.hover(found);
    });
  }

  listenToKeys() {
    const camera = this.cloud.camera;
    const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    this.canvas.addEventListener("keydown", (event) => {
      const arrow = arrows[event.key];
      if (arrow && event.shiftKey) camera.move(0.05 * arrow[0], 0.05 * arrow[1]);
      else if (arrow) camera.turn(0.1 * arrow[0], 0.1 * arrow[1]);
      else if (event.key === "+" || event.key === "=") camera.zoom(0.9);
      else if (event.key === "-") camera.zoom(1 / 0.9);
      else if (event.key === "Home") camera.reset();
      else return;
      event.preventDefault();
      this.cloud.draw();
    });
  }

  // and the other way: the visible point that lies nearest in the image
  listenToImage() {
    this.image.addEventListener("pointermove", (event) => {
      if (!this.frame) return;
      const scale = this.image.width / this.image.clientWidth;
      const [column, row] = [event.offsetX * scale, event.offsetY * scale];
      const { seen } = this.view;
      let [best, least] = [-1, (this.image.width / 40) ** 2];
      for (let k = 0; k < seen.count; k++) {
        const far = (seen.u[k] - column) ** 2 + (seen.v[k] - row) ** 2;
        if (far < least) [best, least] = [seen.index[k], far];
      }
      this.hover(best);
    });
    this.image.addEventListener("pointerleave", () => this.frame && this.hover(-1));
  }
};
