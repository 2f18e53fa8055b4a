"use strict";
// The points that are shown, with their colours and classes, as a binary PLY file.
ignet.plyBytes = ({ frame, painted, run }) => {
  const kept = [];
  for (let i = 0; i < frame.points; i++) if (painted.colors[4 * i + 3]) kept.push(i);
  const ids = [["truth", frame.layers.truth], ["predicted", frame.layers[`run:${run.value}`]]].filter(([, values]) => values);
  const header = [
    "ply",
    "format binary_little_endian 1.0",
    `comment scan ${frame.name}${run.value ? `, run ${run.value}` : ""}; classes: LiDAR train ids, 255 none`,
    `element vertex ${kept.length}`,
    ...["x", "y", "z"].map((name) => `property float ${name}`),
    ...["red", "green", "blue", ...ids.map(([name]) => name)].map((name) => `property uchar ${name}`),
    "end_header\n",
  ].join("\n");
  const row = 15 + ids.length;
  const bytes = new DataView(new ArrayBuffer(row * kept.length));
  kept.forEach((i, place) => {
    const start = row * place;
    for (let k = 0; k < 3; k++) {
      bytes.setFloat32(start + 4 * k, frame.xyz[3 * i + k], true);
      bytes.setUint8(start + 12 + k, painted.colors[4 * i + k]);
    }
    ids.forEach(([, values], k) => bytes.setUint8(start + 15 + k, values[i]));
  });
  return new Blob([header, bytes]);
};

ignet.savePly = (viewer) => {
  const name = `${viewer.frame.name.replace(/\W+/g, "_")}_${viewer.mode.value}${viewer.run.value ? `_${viewer.run.value}` : ""}.ply`;
  const address = URL.createObjectURL(ignet.plyBytes(viewer));
  ignet.element("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
};
