"use strict";
// A cloud of coloured points in WebGL, seen by a camera that turns round a target.
ignet.VERTEX = `
attribute vec3 place; attribute vec4 color; uniform mat4 view; uniform float size; varying vec3 shade;
void main() {
  gl_Position = color.a > 0.0 ? view * vec4(place, 1.0) : vec4(2.0, 2.0, 2.0, 1.0);
  gl_PointSize = clamp(size * 12.0 / max(gl_Position.w, 0.1), size * 0.35, size * 3.0);
  shade = color.rgb;
}`;
ignet.FRAGMENT = `
precision mediump float; varying vec3 shade;
void main() {
  vec2 off = gl_PointCoord - 0.5;
  if (dot(off, off) > 0.25) discard;
  gl_FragColor = vec4(shade, 1.0);
}`;

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
  constructor(canvas) {
    this.canvas = canvas;
    this.camera = new ignet.Camera();
    this.size = 4;
    this.count = 0;
    canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
    canvas.addEventListener("webglcontextrestored", () => { this.start(); if (this.xyz) this.set(this.xyz, this.colors); });
    this.start();
  }

  start() {
    const gl = (this.gl = this.canvas.getContext("webgl", { antialias: true, preserveDrawingBuffer: true }));
    if (!gl) throw new Error("this browser has no WebGL, so the scan cannot be turned; the pictures above are drawn without it");
    const program = gl.createProgram();
    for (const [kind, source] of [[gl.VERTEX_SHADER, ignet.VERTEX], [gl.FRAGMENT_SHADER, ignet.FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(`WebGL: ${gl.getProgramInfoLog(program)}`);
    gl.useProgram(program);
    gl.enable(gl.DEPTH_TEST);
    this.uniform = { view: gl.getUniformLocation(program, "view"), size: gl.getUniformLocation(program, "size") };
    this.buffers = [["place", 3, gl.FLOAT, false], ["color", 4, gl.UNSIGNED_BYTE, true]].map(([name, count, type, norm]) => {
      const [buffer, where] = [gl.createBuffer(), gl.getAttribLocation(program, name)];
      gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
      gl.enableVertexAttribArray(where);
      gl.vertexAttribPointer(where, count, type, norm, 0, 0);
      return buffer;
    });
  }

  // xyz: Float32Array (3 N); colors: Uint8Array (4 N), alpha 0 hides a point
  set(xyz, colors) {
    Object.assign(this, { xyz, colors, count: xyz.length / 3 });
    [xyz, colors].forEach((values, k) => {
      this.gl.bindBuffer(this.gl.ARRAY_BUFFER, this.buffers[k]);
      this.gl.bufferData(this.gl.ARRAY_BUFFER, values, this.gl.STATIC_DRAW);
    });
    this.draw();
  }

  draw() {
    if (this.asked) return;
    this.asked = true;
    requestAnimationFrame(() => { this.asked = false; this.drawNow(); });
  }

  drawNow() {
    const { gl, canvas } = this;
    const ratio = Math.min(devicePixelRatio || 1, 2);
    const [width, height] = [canvas.clientWidth, canvas.clientHeight].map((side) => Math.max(1, Math.round(side * ratio)));
    if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
    gl.viewport(0, 0, width, height);
    const back = ignet.hex(ignet.css("--scan"));
    gl.clearColor(...back.map((value) => value / 255), 1);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    this.view = this.camera.matrix(width / height);
    gl.uniformMatrix4fv(this.uniform.view, false, this.view);
    gl.uniform1f(this.uniform.size, this.size * ratio);
    gl.drawArrays(gl.POINTS, 0, this.count);
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
    const [m, p, colors] = [this.view, this.xyz, this.colors];
    const [halfWidth, halfHeight] = [this.canvas.clientWidth / 2, this.canvas.clientHeight / 2];
    let [best, depth] = [-1, Infinity];
    for (let i = 0; i < this.count; i++) {
      if (!colors[4 * i + 3]) continue;
      const [x, y, z] = [p[3 * i], p[3 * i + 1], p[3 * i + 2]];
      const w = m[3] * x + m[7] * y + m[11] * z + m[15];
      if (w <= 0.1 || w >= depth) continue;
      const across = (1 + (m[0] * x + m[4] * y + m[8] * z + m[12]) / w) * halfWidth - left;
      const down = (1 - (m[1] * x + m[5] * y + m[9] * z + m[13]) / w) * halfHeight - top;
      if (across * across + down * down <= reach * reach) [best, depth] = [i, w];
    }
    return best;
  }
};
