/** Sizes, times and states, as people read them. */

import type { PeerStatus } from "./instance/types.js";

const UNITS = ["B", "kB", "MB", "GB", "TB"];

export function bytes(count: number): string {
  let unit = 0;
  let value = count;
  while (value >= 1000 && unit + 1 < UNITS.length) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${UNITS[unit] ?? ""}`;
}

export function time(ms: number): string {
  return new Date(ms).toLocaleString();
}

/** One state of a contact, for its dot and its words. */
export function state(peers: PeerStatus[]): { dot: "good" | "busy" | "off"; text: string } {
  const best = peers.find((peer) => peer.path !== "none") ?? peers[0];
  if (best === undefined) return { dot: "off", text: "not seen yet" };
  const way = best.path === "relay" ? "through a relay" : "direct";
  switch (best.state) {
    case "inSync":
      return { dot: "good", text: `in sync, ${way}` };
    case "syncing":
      return { dot: "busy", text: `syncing, ${way}` };
    case "pairing":
      return { dot: "busy", text: "pairing" };
    case "connecting":
      return { dot: "busy", text: "connecting" };
    case "waiting":
      return { dot: "off", text: "not reached; trying again soon" };
    case "unreachable":
      return { dot: "off", text: "not reached: nobody knows where it listens" };
    case "blocked":
      return { dot: "off", text: "blocked" };
    case "off":
      return { dot: "off", text: "not dialled: its routes are switched off" };
  }
}

/** Six digits in two groups. */
export function code(digits: string): string {
  return digits.length === 6 ? `${digits.slice(0, 3)} ${digits.slice(3)}` : digits;
}
