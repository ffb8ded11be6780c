// Chromium as the tests of the pages start it: xtask says where it is.

import { chromium } from "playwright-core";

const ARGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

export function launch(...more) {
  return chromium.launch({ executablePath: process.env.LAMA_CHROMIUM, args: [...ARGS, ...more] });
}
