// Many of Microsoft's clients in one process or, with `--browser`, in one page of that Chromium. Prints `{"ready":true}`,
// with the page's origin. Then every line of its standard input is a client, as `build` takes it and with a name in
// `client`; it prints what `listen.mjs` would, with that name. At the end of its input it stops all of them and ends.
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
