/** In Node: `node bench/node.js BYTES OBJECTS MESSAGES` prints its figures as one line of JSON. */

import * as fs from "node:fs";

import { initSync } from "../lama.js";
import { measure } from "./measure.js";

const [bytes, objects, messages] = process.argv.slice(2).map(Number);
if (bytes === undefined || objects === undefined || messages === undefined) {
  throw new Error("usage: node bench/node.js BYTES OBJECTS MESSAGES");
}
initSync({ module: fs.readFileSync(new URL("../lama_bg.wasm", import.meta.url)) });
console.log(JSON.stringify(measure({ bytes, objects, messages })));
