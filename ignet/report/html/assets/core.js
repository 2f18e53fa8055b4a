"use strict";
// What all scripts of the page share: embedded data, faults, the theme.
const ignet = { faults: [], themed: [] };
window.ignet = ignet;

ignet.data = (name) => JSON.parse(document.getElementById(`data-${name}`).textContent);

ignet.fault = (where, error) => {
  ignet.faults.push(`${where}: ${error}`);
  console.error(where, error);
  const box = document.getElementById("faults");
  box.hidden = false;
  box.textContent = ignet.faults.join("; ");
};

// base64 of zlib's bytes to a typed array; pages are read on little-endian machines alone, as all browsers' are
ignet.unpack = async (text, Type) => {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Type(await new Response(stream).arrayBuffer());
};

ignet.element = (tag, attributes = {}, ...children) => {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "on") for (const [event, act] of Object.entries(value)) made.addEventListener(event, act);
    else if (value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
};

ignet.fill = (select, entries) => {
  select.replaceChildren(...entries.map(([value, text]) => ignet.element("option", { value }, text)));
};

ignet.css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

ignet.setTheme = (theme) => {
  document.documentElement.dataset.theme = theme;
  document.getElementById("theme").textContent = theme === "dark" ? "Light" : "Dark";
  for (const act of ignet.themed) act();
};

// a page from disk may have no storage
ignet.remember = (name, value) => {
  try {
    if (value === undefined) return localStorage.getItem(`ignet-${name}`);
    localStorage.setItem(`ignet-${name}`, value);
  } catch { /* then it is not remembered */ }
  return null;
};

ignet.startTheme = () => {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const chosen = ignet.remember("theme");
  ignet.setTheme(chosen || (system.matches ? "dark" : "light"));
  system.addEventListener("change", () => ignet.remember("theme") || ignet.setTheme(system.matches ? "dark" : "light"));
  document.getElementById("theme").addEventListener("click", () => {
    const theme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    ignet.remember("theme", theme);
    ignet.setTheme(theme);
  });
};

ignet.startFolding = () => {
  const button = document.getElementById("fold");
  const sections = [...document.querySelectorAll("details.section")];
  const say = () => { button.textContent = sections.some((section) => section.open) ? "Fold all" : "Unfold all"; };
  button.addEventListener("click", () => {
    const open = !sections.some((section) => section.open);
    for (const section of sections) section.open = open;
  });
  for (const section of sections) section.addEventListener("toggle", say);
  // a link to a folded section opens it
  const follow = () => { const found = document.getElementById(location.hash.slice(1)); if (found?.matches("details")) found.open = true; };
  addEventListener("hashchange", follow);
  follow();
};
