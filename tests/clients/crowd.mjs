// Runs many of Microsoft's clients in one process or, with `--browser`, in one page of that Chromium. Prints
// `{"ready":true}` with the origin of the page. Each line of standard input is a client: the options of `build`, and a
// name in `client`. Prints the lines of `listen.mjs` with that name. At the end of its input it stops all clients and ends.
import { createInterface } from "node:readline";
import { parseCommandLine } from "./arguments.mjs";
import * as members from "./members.mjs";
import { open } from "./page.mjs";

const options = parseCommandLine({ browser: { type: "string" } }, [], "usage: node crowd.mjs [--browser PROGRAM]");
const print = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

const inProcess = {
  connectClient: (options) => members.connectClient(options, print),
  stopClients: members.stopClients,
};
const clients = options.browser ? await open(options.browser, print) : inProcess;
print({ ready: true, origin: clients.origin });
for await (const line of createInterface({ input: process.stdin })) clients.connectClient(JSON.parse(line));
await clients.stopClients();
process.exit(0);
