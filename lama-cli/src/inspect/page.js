"use strict";
// Shows what `state.json` says, once a second. Everything is put in as text, never as markup.

const cell = (tag, value, name) => {
  const made = document.createElement(tag);
  made.textContent = value ?? "";
  if (name) made.className = name;
  return made;
};

const fill = (id, heads, rows) => {
  const table = document.getElementById(id);
  const line = (cells) => {
    const made = document.createElement("tr");
    made.append(...cells);
    return made;
  };
  const made = rows.map((row) => line(row.map((value) => (value instanceof Node ? value : cell("td", value)))));
  table.replaceChildren(line(heads.map((head) => cell("th", head))), ...made);
};

const number = (value) => cell("td", value === null || value === undefined ? "?" : String(value), "number");
const bytes = (count) => {
  for (const [unit, size] of [["GB", 1e9], ["MB", 1e6], ["kB", 1e3]]) {
    if (count >= size) return `${(count / size).toFixed(1)} ${unit}`;
  }
  return `${count} B`;
};
const time = (at) => (at ? new Date(at).toLocaleString() : "never");

const show = (state) => {
  const { status, routes, shared } = state;
  const where = status.offline ? "offline" : status.urls.map((url) => url.split("#")[0]).join(", ") || "not listening";
  document.getElementById("state").textContent =
    `${where}, on ${status.runtime}; ${status.objects} objects (${bytes(status.bytes)})`;
  fill("peers", ["Person", "Instance", "Path", "State", "To send", "To get", "Sent", "Received", "Round trip", "Last seen", "Why not"],
    status.peers.map((peer) => [
      peer.email, peer.name, peer.path, peer.state.replaceAll("_", " "), number(peer.to_send), number(peer.to_receive),
      cell("td", bytes(peer.bytes_sent), "number"), cell("td", bytes(peer.bytes_received), "number"),
      cell("td", peer.round_trip === null ? "" : `${peer.round_trip} ms`, "number"), time(peer.last_seen),
      peer.path === "none" ? peer.problem?.message : "",
    ]));
  fill("routes", ["Person", "Instance", "Path", "Dialled", "Route"],
    routes.map((route) => [
      route.email, route.name, route.path, route.off_by ? `off (${route.off_by})` : route.in_use ? "in use" : "on",
      route.route.split("#")[0],
    ]));
  fill("shared", ["Name", "Kind", "Size", "By", "When"],
    shared.map((item) => [item.name, item.kind, cell("td", bytes(item.bytes), "number"), item.by, time(item.time)]));
};

const showHealth = (health) =>
  fill("health", ["", "What", "", "Do"],
    health.items.map((item) => [cell("td", item.severity, item.severity), item.title, item.text, item.remedy]));

const ask = async (name) => {
  const answer = await (await fetch(name, { cache: "no-store" })).json();
  if (answer.error) throw new Error(answer.error);
  return answer;
};

let turn = 0;
const look = async () => {
  try {
    show(await ask("state.json"));
    if (turn++ % 15 === 0) showHealth(await ask("health.json"));
  } catch (error) {
    document.getElementById("state").textContent = `the instance does not answer: ${error.message}`;
  }
  setTimeout(look, 1000);
};
look();
