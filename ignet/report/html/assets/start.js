"use strict";
// Each part starts by itself: a fault in one is told and leaves the others alone.
ignet.start = async () => {
  ignet.classes = ignet.data("classes");
  ignet.options = ignet.data("options");
  const parts = {
    theme: ignet.startTheme,
    folding: ignet.startFolding,
    tables: ignet.startTables,
    charts: ignet.startCharts,
    scans: ignet.startFrames,
    viewer: async () => {
      if (!document.getElementById("viewer-canvas")) return;
      ignet.viewer = new ignet.Viewer();
      await ignet.viewer.open();
    },
    pictures: ignet.startPanels,
  };
  for (const [name, start] of Object.entries(parts)) {
    try { await start(); } catch (error) { ignet.fault(name, error.message || error); }
  }
};
ignet.ready = ignet.start();
