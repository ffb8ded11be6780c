/** A whole LAMA instance for JavaScript. Node: `@lama/instance/node`; browser: `@lama/instance/browser`, or in a worker. */

export * from "./types.js";
export { LamaError, register, unregister, type SyncFile } from "./platform.js";
export { Enrolling, Instance, Keys, lookAtInvitation, qrSvg } from "./instance.js";
export { Host, DialFailure, type Api, type Data, type Dialler, type Opened, type Socket, type SocketEvents } from "./host.js";
