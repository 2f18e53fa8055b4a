"use strict";
// plotly's charts, drawn when they come into view, in the colours of the theme.
ignet.layout = (layout) => {
  const [text, line] = [ignet.css("--text"), ignet.css("--line")];
  const axis = (own) => ({ gridcolor: line, zerolinecolor: ignet.css("--soft"), linecolor: line, automargin: true, ...own });
  return {
    ...layout,
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: text, size: 12, family: "system-ui, sans-serif" },
    margin: { l: 50, r: 16, t: layout.title ? 30 : 14, b: 44 },
    legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 },
    hoverlabel: { bgcolor: ignet.css("--card"), bordercolor: line, font: { color: text } },
    xaxis: axis(layout.xaxis),
    yaxis: axis(layout.yaxis),
    autosize: true,
  };
};

ignet.drawChart = (place) => {
  const found = ignet.charts[place.dataset.chart];
  if (!found) return null;
  place.dataset.drawn = place.dataset.chart;
  const hidden = ignet.hiddenRuns;
  const font = { textfont: { color: ignet.css("--text") } };
  const own = (trace) => ({ ...(trace.type === "heatmap" ? font : {}), ...(hidden.has(trace.legendgroup) ? { visible: false } : {}) });
  const data = found.data.map((trace) => ({ ...trace, ...own(trace) }));
  const options = { displaylogo: false, responsive: true, displayModeBar: false };
  return Plotly.react(place, data, ignet.layout(found.layout), options).catch((error) => ignet.fault(place.dataset.chart, error));
};

ignet.drawAll = () => Promise.all([...document.querySelectorAll(".chart")].map(ignet.drawChart));

ignet.startCharts = () => {
  ignet.charts = ignet.data("charts");
  ignet.hiddenRuns = new Set();
  const places = [...document.querySelectorAll(".chart")];
  const seen = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (isIntersecting && target.dataset.drawn !== target.dataset.chart) ignet.drawChart(target);
    }
  }, { rootMargin: "300px" });
  places.forEach((place) => seen.observe(place));
  const again = () => places.filter((place) => place.dataset.drawn).forEach(ignet.drawChart);
  ignet.themed.push(again);
  for (const select of document.querySelectorAll("select.choice")) {
    select.addEventListener("change", () => {
      const place = document.getElementById(select.dataset.target);
      place.dataset.chart = select.value;
      ignet.drawChart(place);
    });
  }
  for (const chip of document.querySelectorAll("button.chip[data-run]")) {
    chip.addEventListener("click", () => {
      const shown = chip.getAttribute("aria-pressed") === "true";
      chip.setAttribute("aria-pressed", String(!shown));
      ignet.hiddenRuns[shown ? "add" : "delete"](chip.dataset.run);
      chip.closest("details").querySelectorAll(".grid .chart").forEach(ignet.drawChart);
    });
  }
  addEventListener("beforeprint", () => {
    for (const section of document.querySelectorAll("details.section")) section.open = true;
    ignet.drawAll();
  });
};
