/** The conversation with one contact. */

import type { Client } from "./instance/client.js";
import type { Contact, Message } from "./instance/types.js";
import { byId, field, make, onSubmit } from "./dom.js";
import { time } from "./words.js";

const SHOWN = 200;

export class Chat {
  private with: Contact | undefined;

  constructor(private readonly client: Client) {
    onSubmit(byId<HTMLFormElement>("send-form"), async (data) => {
      const text = field(data, "text");
      if (text === "" || this.with === undefined) return;
      await this.client.call({ type: "send", to: this.with.person, text });
      byId<HTMLFormElement>("send-form").reset();
      await this.refresh();
    });
  }

  open(contact: Contact): void {
    this.with = contact;
    byId("with").textContent = contact.email;
    byId("conversation").hidden = false;
    void this.refresh();
  }

  async refresh(): Promise<void> {
    const person = this.with?.person;
    if (person === undefined) return;
    const { messages } = await this.client.call({ type: "log", with: person, limit: SHOWN });
    if (person !== this.with?.person) return;
    const list = byId("messages");
    const atEnd = list.scrollTop + list.clientHeight >= list.scrollHeight - 40;
    list.replaceChildren(...messages.map((message) => this.row(message)));
    if (atEnd) list.scrollTop = list.scrollHeight;
    if (!document.hidden) await this.read(messages);
  }

  /** What is on the screen is read. */
  private async read(messages: Message[]): Promise<void> {
    const channel = messages.find((message) => message.unread)?.channel;
    if (channel === undefined) return;
    const { channels } = await this.client.call({ type: "channels" });
    const arrived = channels.find((one) => one.channel === channel)?.arrived;
    if (arrived !== undefined) await this.client.call({ type: "markRead", channel, upto: arrived });
  }

  private row(message: Message): HTMLElement {
    const mine = message.author === this.client.identity.person;
    const who = `${mine ? "you" : message.email}, ${time(message.time)}${message.edited === null ? "" : ", edited"}`;
    const gone = message.deleted !== null;
    const text = make("span", { class: gone ? "gone" : "text" }, gone ? "deleted" : message.text);
    return make("li", { class: mine ? "mine" : "theirs" }, make("span", { class: "quiet" }, who), text);
  }
}
