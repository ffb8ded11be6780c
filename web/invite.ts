/** Inviting: a browser cannot be dialled, so it stands behind a relay, and its invitations lead through that. */

import type { Client } from "./instance/client.js";
import type { LamaEvent, Relay } from "./instance/types.js";
import { byId, field, notice, onSubmit } from "./dom.js";

const WORDS: Record<Relay["state"], string> = {
  registered: "Others reach you through this relay.",
  connecting: "Connecting to the relay …",
  waiting: "The relay was not reached; trying again soon.",
  unneeded: "Another relay is enough for now.",
};

export class Inviting {
  private code: string | undefined;

  constructor(private readonly client: Client) {
    onSubmit(byId<HTMLFormElement>("relay-form"), async (data) => {
      const relay = field(data, "relay");
      await client.call({ type: "setRelays", relays: relay === "" ? [] : [relay] });
      await this.refresh();
    });
    onSubmit(byId<HTMLFormElement>("invite-form"), () => this.invite());
    byId("invitation-copy").addEventListener("click", () => {
      void navigator.clipboard.writeText(byId<HTMLTextAreaElement>("invitation-link").value);
    });
    window.addEventListener("online", () => void client.call({ type: "wake" }));
  }

  /** What happened has to do with it. */
  hear(event: LamaEvent): void {
    if (event.type === "relayRegistered" || event.type === "relayLost") void this.refresh();
    if (event.type === "relayLost" && event.problem !== null) notice(event.problem.message, true);
    if (event.type === "paired" || event.type === "invitationExpired") this.hide();
  }

  /** How it stands at the relays. */
  async refresh(): Promise<void> {
    const { relays } = await this.client.call({ type: "relays" });
    const best = relays.find(({ state }) => state === "registered") ?? relays[0];
    const input = byId<HTMLInputElement>("relay");
    if (best !== undefined && document.activeElement !== input) input.value = best.address;
    byId<HTMLOutputElement>("relay-state").value = best === undefined ? "" : WORDS[best.state];
    byId<HTMLButtonElement>("invite").disabled = best?.state !== "registered";
  }

  private async invite(): Promise<void> {
    const { link } = await this.client.call({ type: "invite" });
    // Where this page has an address for others, the code opens it there.
    const here = location.protocol === "https:" ? `${location.origin}${location.pathname}#invitation=` : undefined;
    const text = here === undefined ? link : here + link.slice(link.indexOf("#") + 1);
    const svg = new Blob([await this.client.qrSvg(text)], { type: "image/svg+xml" });
    this.hide();
    this.code = URL.createObjectURL(svg);
    byId<HTMLImageElement>("invitation-code").src = this.code;
    byId<HTMLTextAreaElement>("invitation-link").value = text;
    byId("invitation").hidden = false;
  }

  /** It is spent: a secret does not stay on the screen. */
  private hide(): void {
    byId("invitation").hidden = true;
    byId<HTMLTextAreaElement>("invitation-link").value = "";
    if (this.code !== undefined) URL.revokeObjectURL(this.code);
  }
}
