/** The suites that every engine of the store passes, over files of Node; and the test vectors, made in the module. */

import assert from "node:assert/strict";
import * as fs from "node:fs";
import { after, test } from "node:test";

import { clear, failures } from "./module/conformance.js";
import { conformanceNames, conformanceRun, initSync, vectorFiles } from "./module/lama.js";

initSync({ module: fs.readFileSync(new URL("./module/lama_bg.wasm", import.meta.url)) });
after(clear);

/** Where the vectors lie: the checkout that this was built from. */
const vectors = process.env["LAMA_VECTORS"] ?? new URL("../../../../vectors", import.meta.url).pathname;

test("the suites of the store, over a file", async (suites) => {
  const names = conformanceNames();
  assert.ok(names.length > 90, `${names.length} tests`);
  for (const name of names) {
    await suites.test(name, () => {
      try {
        conformanceRun(name);
      } catch (error) {
        throw new Error(failures.at(-1) ?? String(error), { cause: error });
      }
    });
    // A trap leaves the module in no state to go on.
    if (failures.length > 0) return;
  }
});

test("the module makes the same vectors", () => {
  const made = JSON.parse(vectorFiles()) as Record<string, string>;
  const names = Object.keys(made);
  assert.ok(names.length >= 26, `${names.length} files`);
  for (const name of names) {
    assert.equal(made[name], fs.readFileSync(`${vectors}/${name}.json`, "utf8"), name);
  }
});
