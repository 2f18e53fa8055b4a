"use strict";
// Draws coloured points without WebGL: projects them and fills squares, the nearest one last seen. 125,000 points take some 20 ms.
ignet.RasterPoints = class {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
  }

  set(xyz, colors) { Object.assign(this, { xyz, colors: new Uint32Array(colors.buffer, colors.byteOffset, colors.length / 4) }); }

  draw(m, size, back) {
    const { width, height } = this.canvas;
    if (this.image?.width !== width || this.image.height !== height) {
      this.image = this.context.createImageData(width, height);
      this.pixels = new Uint32Array(this.image.data.buffer);
      this.depth = new Float32Array(width * height);
    }
    const { pixels, depth, xyz, colors } = this;
    pixels.fill((255 << 24) | (back[2] << 16) | (back[1] << 8) | back[0]);
    depth.fill(Infinity);
    const halfWidth = width / 2, halfHeight = height / 2;
    for (let i = 0, at = 0; i < colors.length; i++, at += 3) {
      const color = colors[i];
      if (color >>> 24 === 0) continue;
      const x = xyz[at], y = xyz[at + 1], z = xyz[at + 2];
      const w = m[3] * x + m[7] * y + m[11] * z + m[15];
      if (w <= 0.1) continue;
      const side = Math.round(Math.min(Math.max((12 * size) / w, 0.35 * size, 1), 3 * size));
      const left = Math.round((1 + (m[0] * x + m[4] * y + m[8] * z + m[12]) / w) * halfWidth - side / 2);
      const top = Math.round((1 - (m[1] * x + m[5] * y + m[9] * z + m[13]) / w) * halfHeight - side / 2);
      const right = Math.min(left + side, width), bottom = Math.min(top + side, height);
      for (let row = Math.max(top, 0); row < bottom; row++) {
        for (let place = row * width + Math.max(left, 0), end = row * width + right; place < end; place++) {
          if (w < depth[place]) { depth[place] = w; pixels[place] = color; }
        }
      }
    }
    this.context.putImageData(this.image, 0, 0);
  }
};
