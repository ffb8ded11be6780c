// A whole instance in a browser. Two of them, in two browsers, need nothing but a relay to find each other:
// one names it and invites, the other one joins.

import { Client } from "/instance/client.js"; // the package of bindings/js, served beside this page

const byId = (id) => document.getElementById(id);
const worker = new Worker("/instance/worker.js", { type: "module" });
const email = new URLSearchParams(location.search).get("email") ?? "browser@example.org";
// Keys and store lie in the origin-private file system, under that name; they are there again after a reload.
const me = await Client.open(worker, { store: "example", create: { email, name: "browser" } });
byId("me").textContent = me.identity.email;

function show(text) {
  const line = document.createElement("li");
  line.textContent = text; // what others wrote is text, never markup
  byId("log").append(line);
}

me.on((event) => {
  if (event.type === "relayRegistered") byId("invite").disabled = false;
  if (event.type === "paired") show(`${event.contact.email} is a contact`);
  if (event.type === "message") show(`${event.message.email}: ${event.message.text}`);
});

function onSubmit(id, work) {
  byId(id).addEventListener("submit", (event) => {
    event.preventDefault();
    work(new FormData(event.target)).catch((error) => show(error.message));
  });
}

onSubmit("stand", (data) => me.call({ type: "setRelays", relays: [data.get("relay")] }));

byId("invite").addEventListener("click", async () => {
  const { link } = await me.call({ type: "invite" }); // a secret: whoever has it pairs, once
  byId("link").value = link;
  byId("code").src = URL.createObjectURL(new Blob([await me.qrSvg(link)], { type: "image/svg+xml" }));
});

onSubmit("join", (data) => me.call({ type: "join", link: data.get("link") }));

onSubmit("say", async (data) => {
  const { contacts } = await me.call({ type: "contacts" });
  for (const contact of contacts) await me.call({ type: "send", to: contact.person, text: data.get("text") });
});
