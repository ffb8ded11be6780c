/** The module that only tests load has the same platform below it. */

export * from "../../platform.js";
