// Runs many of Microsoft's clients in one process or, with `--browser`, in one page of that Chromium. Prints
// `{"ready":true}` with the origin of the page. Each line of standard input is a client: the options of `build`, and a
// name in `client`. Prints the lines of `listen.mjs` with that name. At the end of its input it stops all clients and ends.
import { createInterface } from "node:readline";
import { read } from "./arguments.mjs";
import * as members from "./members.mjs";
import { open } from "./page.mjs";

const options = read({ browser: { type: "string" } }, [], "usage: node crowd.mjs [--browser PROGRAM]");
const print = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

const here = { join: (job) => members.join(job, print), leave: members.leave };
const place = options.browser ? await open(options.browser, print) : here;
print({ ready: true, origin: place.origin });
for await (const line of createInterface({ input: process.stdin })) place.join(JSON.parse(line));
await place.leave();
process.exit(0);
