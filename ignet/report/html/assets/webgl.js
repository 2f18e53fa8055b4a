"use strict";
// Draws coloured points by WebGL.
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

ignet.WebglPoints = class {
  // null where there is no WebGL, or only one that the processor computes: it is ten times slower than ignet.RasterPoints
  static on(canvas, force) {
    if (!force && !ignet.WebglPoints.fast()) return null;
    const gl = canvas.getContext("webgl", { antialias: false });
    return gl && new ignet.WebglPoints(gl);
  }

  // asked of another canvas, as one that had a WebGL context can be drawn on in no other way
  static fast() {
    const gl = document.createElement("canvas").getContext("webgl", { failIfMajorPerformanceCaveat: true });
    const named = gl?.getExtension("WEBGL_debug_renderer_info");
    const software = named && /swiftshader|llvmpipe|software|basic render/i.test(gl.getParameter(named.UNMASKED_RENDERER_WEBGL));
    gl?.getExtension("WEBGL_lose_context")?.loseContext();
    return Boolean(gl && !software);
  }

  constructor(gl) {
    this.gl = gl;
    gl.canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
    gl.canvas.addEventListener("webglcontextrestored", () => {
      this.start();
      if (this.last) { this.set(...this.last); this.draw(...this.view); }
    });
    this.start();
  }

  start() {
    const { gl } = this;
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

  set(xyz, colors) {
    this.last = [xyz, colors];
    this.last.forEach((values, k) => {
      this.gl.bindBuffer(this.gl.ARRAY_BUFFER, this.buffers[k]);
      this.gl.bufferData(this.gl.ARRAY_BUFFER, values, this.gl.STATIC_DRAW);
    });
  }

  draw(view, size, back) {
    this.view = [view, size, back];
    const { gl } = this;
    gl.viewport(0, 0, gl.canvas.width, gl.canvas.height);
    gl.clearColor(...back.map((value) => value / 255), 1);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.uniformMatrix4fv(this.uniform.view, false, view);
    gl.uniform1f(this.uniform.size, size);
    gl.drawArrays(gl.POINTS, 0, this.last[0].length / 3);
  }
};
