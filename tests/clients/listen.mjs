// Connects like a Bitwarden client. Prints `{"connected":true}` once it is connected, then each message as a line of JSON.
// Ends with status 0 after `--count` messages, at the end of standard input and on SIGTERM. Ends with status 1 and a
// message on stderr if it cannot connect, if the server closes the connection, or after `--timeout`.
import { parseCommandLine } from "./arguments.mjs";
import { build, run } from "./connection.mjs";

const usage = `usage: node listen.mjs --url BASE --token T [--token-in header|query] [--protocol messagepack|json] [--negotiate]
         [--transport WebSockets|ServerSentEvents|LongPolling] [--anonymous REQUEST-ID] [--invoke METHOD] [--count N]
         [--timeout SECONDS] [--verbose]
All transports but WebSockets need --negotiate.`;
const options = parseCommandLine(
  {
    url: { type: "string" },
    token: { type: "string" },
    "token-in": { type: "string", default: "header" },
    transport: { type: "string", default: "WebSockets" },
    protocol: { type: "string", default: "messagepack" },
    anonymous: { type: "string" },
    invoke: { type: "string" },
    count: { type: "string", default: "0" },
    timeout: { type: "string", default: "0" },
    negotiate: { type: "boolean", default: false },
    verbose: { type: "boolean", default: false },
  },
  ["url"],
  usage,
);

const connection = build({ ...options, tokenIn: options["token-in"] });
let left = Number(options.count) || Infinity;
let stopping = false;

function fail(message) {
  if (stopping) return;
  stopping = true;
  process.stderr.write(`${message}\n`, () => process.exit(1));
}

async function stop() {
  if (stopping) return;
  stopping = true;
  await connection.stop();
  process.exit(0);
}

function report(line) {
  if (stopping) return;
  process.stdout.write(`${JSON.stringify(line)}\n`);
  if (line.closed) fail(line.error ? `closed: ${line.error}` : "closed by the server");
  if (line.target) left -= 1;
  if (left === 0) stop();
}

process.on("SIGTERM", stop);
process.stdin.on("end", stop).on("error", stop).resume();
if (Number(options.timeout)) {
  setTimeout(() => fail(`nothing more after ${options.timeout} s`), Number(options.timeout) * 1000).unref();
}
run(connection, options.invoke, report).catch((error) => fail(`cannot connect: ${error.message}`));
