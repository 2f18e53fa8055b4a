"use strict";
// A cloud of coloured points, seen by a camera that turns round a target; drawn by WebGL or, where that would be slower, without.
ignet.Camera = class {
  constructor() { this.reset(); }

  reset() { Object.assign(this, { target: [0, 0, 0], yaw: Math.PI, pitch: 0.5, distance: 45 }); }

  top() { Object.assign(this, { target: [0, 0, 0], yaw: Math.PI, pitch: 1.55, distance: 90 }); }

  turn(sideways, up) {
    this.yaw -= sideways;
    this.pitch = Math.min(Math.max(this.pitch + up, -1.55), 1.55);
  }

  zoom(factor) { this.distance = Math.min(Math.max(this.distance * factor, 1), 400); }

  // right and up in the picture, as shares of the distance
  move(right, up) {
    const { x, y } = this.axes();
    for (let k = 0; k < 3; k++) this.target[k] += this.distance * (right * x[k] + up * y[k]);
  }

  axes() {
    const [cy, sy, cp, sp] = [Math.cos(this.yaw), Math.sin(this.yaw), Math.cos(this.pitch), Math.sin(this.pitch)];
    return { x: [-sy, cy, 0], y: [-sp * cy, -sp * sy, cp], z: [cp * cy, cp * sy, sp] };
  }

  // column-major, as WebGL takes it
  matrix(aspect) {
    const { x, y, z } = this.axes();
    const eye = this.target.map((value, k) => value + this.distance * z[k]);
    const dot = (a) => -(a[0] * eye[0] + a[1] * eye[1] + a[2] * eye[2]);
    const f = 1 / Math.tan(0.45);
    const [near, far] = [0.1, 1000];
    const [a, b] = [(far + near) / (near - far), (2 * far * near) / (near - far)];
    const rows = [[...x, dot(x)].map((v) => (v * f) / aspect), [...y, dot(y)].map((v) => v * f), [...z, dot(z)], [-z[0], -z[1], -z[2], -dot(z)]];
    rows[2] = rows[2].map((v, k) => a * v + (k === 3 ? b : 0));
    return Float32Array.from({ length: 16 }, (_, k) => rows[k % 4][k >> 2]);
  }
};

ignet.PointCloud = class {
  // ?renderer=webgl or ?renderer=raster at the end of the page's address decides by hand
  constructor(canvas) {
    this.canvas = canvas;
    this.camera = new ignet.Camera();
    this.size = 4;
    const wanted = new URLSearchParams(location.search).get("renderer");
    this.points = (wanted !== "raster" && ignet.WebglPoints.on(canvas, wanted === "webgl")) || new ignet.RasterPoints(canvas);
  }

  // xyz: Float32Array (3 N); colors: Uint8Array (4 N), alpha 0 hides a point
  set(xyz, colors) {
    Object.assign(this, { xyz, colors, count: xyz.length / 3 });
    this.points.set(xyz, colors);
    this.draw();
  }

  draw() {
    if (this.asked) return;
    this.asked = true;
    requestAnimationFrame(() => { this.asked = false; this.drawNow(); });
  }

  drawNow() {
    if (!this.xyz) return;
    const { canvas } = this;
    const ratio = Math.min(devicePixelRatio || 1, 2);
    const [width, height] = [canvas.clientWidth, canvas.clientHeight].map((side) => Math.max(1, Math.round(side * ratio)));
    if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
    this.view = this.camera.matrix(width / height);
    this.points.draw(this.view, this.size * ratio, ignet.hex(ignet.css("--scan")));
    this.drawn?.();
  }

  // place of a point in CSS pixels of the canvas, and its depth; null behind the camera
  project(i) {
    const [m, p] = [this.view, this.xyz];
    const [x, y, z] = [p[3 * i], p[3 * i + 1], p[3 * i + 2]];
    const w = m[3] * x + m[7] * y + m[11] * z + m[15];
    if (w <= 0.1) return null;
    const right = (m[0] * x + m[4] * y + m[8] * z + m[12]) / w;
    const up = (m[1] * x + m[5] * y + m[9] * z + m[13]) / w;
    return { left: ((right + 1) / 2) * this.canvas.clientWidth, top: ((1 - up) / 2) * this.canvas.clientHeight, depth: w };
  }

  // the nearest shown point within some pixels of a place; -1 for none
  pick(left, top, reach = 7) {
    if (!this.view) return -1;
    const m = this.view, p = this.xyz, colors = this.colors;
    const halfWidth = this.canvas.clientWidth / 2, halfHeight = this.canvas.clientHeight / 2;
    let best = -1, depth = Infinity;
    for (let i = 0; i < this.count; i++) {
      if (!colors[4 * i + 3]) continue;
      const x = p[3 * i], y = p[3 * i + 1], z = p[3 * i + 2];
      const w = m[3] * x + m[7] * y + m[11] * z + m[15];
      if (w <= 0.1 || w >= depth) continue;
      const across = (1 + (m[0] * x + m[4] * y + m[8] * z + m[12]) / w) * halfWidth - left;
      const down = (1 - (m[1] * x + m[5] * y + m[9] * z + m[13]) / w) * halfHeight - top;
      if (across * across + down * down <= reach * reach) { best = i; depth = w; }
    }
    return best;
  }
};
