// The same in a page of Chromium: `node chromium.mjs PACKAGE BYTES OBJECTS MESSAGES`. It lies beside `browser.mjs` of `web/test`
// when it runs. Nothing is served: the browser is given the package's files as it asks for them.

import { join, normalize } from "node:path";

import { launch } from "./browser.mjs";

const ORIGIN = "http://localhost/";
const [place, ...words] = process.argv.slice(2);
const [bytes, objects, messages] = words.map(Number);

const browser = await launch();
try {
  const page = await browser.newPage();
  await page.route(`${ORIGIN}**`, (route) => {
    const path = normalize(new URL(route.request().url()).pathname);
    return path === "/" ? route.fulfill({ contentType: "text/html", body: "<!doctype html>" }) : route.fulfill({ path: join(place, path) });
  });
  await page.goto(ORIGIN);
  const figures = await page.evaluate(async (amounts) => {
    await (await import("/lama.js")).default();
    return (await import("/bench/measure.js")).measure(amounts);
  }, { bytes, objects, messages });
  console.log(JSON.stringify(figures));
} finally {
  await browser.close();
}
