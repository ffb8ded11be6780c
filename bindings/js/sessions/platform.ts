/** What this module imports: errors and random bytes. */

export { fillRandom, newProblem } from "../platform.js";
