/** Contacts: who they are, how they are reached, and becoming one. */

import type { Client } from "./instance/client.js";
import type { Contact, Status } from "./instance/types.js";
import { byId, field, make, notice, onSubmit } from "./dom.js";
import { bytes, code, state } from "./words.js";

export class People {
  private contacts: Contact[] = [];
  private status: Status | undefined;
  private unread = new Map<string, number>();
  chosen: string | undefined;

  constructor(
    private readonly client: Client,
    private readonly choose: (contact: Contact) => void,
  ) {
    onSubmit(byId<HTMLFormElement>("join-form"), async (data) => {
      await this.join(field(data, "link"));
      byId<HTMLFormElement>("join-form").reset();
    });
  }

  /** Takes an invitation. */
  async join(link: string): Promise<void> {
    const said = byId<HTMLOutputElement>("join-state");
    said.value = "Reaching whoever invited …";
    try {
      const { contact } = await this.client.call({ type: "join", link });
      const digits = contact.checkCode === null ? "" : ` Both of you see the check code ${code(contact.checkCode)}.`;
      notice(`${contact.email} is a contact now.${digits}`);
      await this.refresh();
      this.pick(contact.person);
    } finally {
      said.value = "";
    }
  }

  active(): Contact[] {
    return this.contacts.filter((contact) => contact.state === "active");
  }

  name(person: string): string {
    if (person === this.client.identity.person) return "you";
    return this.contacts.find((contact) => contact.person === person)?.email ?? person.slice(0, 12);
  }

  async refresh(): Promise<void> {
    const [{ contacts }, { status }, { channels }] = await Promise.all([
      this.client.call({ type: "contacts" }),
      this.client.call({ type: "status" }),
      this.client.call({ type: "channels" }),
    ]);
    this.contacts = contacts;
    this.status = status;
    this.unread.clear();
    for (const channel of channels) {
      for (const member of channel.members) {
        this.unread.set(member, (this.unread.get(member) ?? 0) + channel.unread);
      }
    }
    this.draw();
    const first = this.active()[0];
    if (this.chosen === undefined && first !== undefined) this.pick(first.person);
    else this.route();
  }

  pick(person: string): void {
    const contact = this.contacts.find((one) => one.person === person);
    if (contact === undefined) return;
    this.chosen = person;
    this.draw();
    this.route();
    this.choose(contact);
  }

  private peers(person: string): Status["peers"] {
    return this.status?.peers.filter((peer) => peer.peer.person === person) ?? [];
  }

  private draw(): void {
    const rows = this.contacts.map((contact) => {
      const { dot, text } = state(this.peers(contact.person));
      const unread = this.unread.get(contact.person) ?? 0;
      const pending = contact.state === "pending" ? "pairing under way; " : "";
      const button = make(
        "button",
        { type: "button", "aria-current": contact.person === this.chosen, onclick: () => this.pick(contact.person) },
        make("span", { class: `dot ${dot}`, "aria-hidden": "true" }),
        make("span", {}, contact.email),
        unread > 0 ? make("span", { class: "count", title: `${unread} unread` }, String(unread)) : "",
        make("span", { class: "quiet" }, pending + text),
      );
      button.setAttribute("aria-current", String(contact.person === this.chosen));
      return make("li", { "data-person": contact.person }, button);
    });
    byId("contacts").replaceChildren(...rows);
    byId("no-contacts").hidden = rows.length > 0;
  }

  /** How the chosen contact is reached, and what proves who that is. */
  private route(): void {
    const contact = this.contacts.find((one) => one.person === this.chosen);
    if (contact === undefined) return;
    const peers = this.peers(contact.person);
    const here = peers.find((peer) => peer.path !== "none");
    const rows: [string, string][] = [["State", state(peers).text]];
    if (here?.url != null) rows.push(["Route", here.url.split("#")[0] ?? ""]);
    if (here !== undefined) rows.push(["Moved", `${bytes(here.bytesIn)} in, ${bytes(here.bytesOut)} out`]);
    if (contact.checkCode !== null) rows.push(["Check code", code(contact.checkCode)]);
    rows.push(["Key", contact.fingerprint.slice(0, 16)]);
    byId("route").replaceChildren(
      ...rows.flatMap(([name, value]) => [make("dt", {}, name), make("dd", { title: value }, value)]),
    );
  }
}
