// Connects as a Bitwarden client does and prints what arrives: `{"connected":true}` once started, then one line of JSON
// a message. Ends with status 0 after `--count` messages, at the end of its standard input and on SIGTERM; with 1 and a
// sentence on stderr when it cannot connect, when the server closes, or when `--timeout` passes first.
import { read } from "./arguments.mjs";
import { build, TARGETS } from "./connection.mjs";

const usage = `usage: node listen.mjs --url BASE --token T [--token-in header|query] [--protocol messagepack|json] [--negotiate]
         [--anonymous REQUEST-ID] [--invoke METHOD] [--count N] [--timeout SECONDS] [--verbose]`;
const options = read(
  {
    url: { type: "string" },
    token: { type: "string" },
    "token-in": { type: "string", default: "header" },
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
const print = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
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

for (const target of TARGETS) {
  connection.on(target, (...values) => {
    if (stopping) return;
    print({ target, arguments: values });
    left -= 1;
    if (left === 0) stop();
  });
}
connection.onclose((error) => {
  if (stopping) return;
  print({ closed: true, error: error?.message ?? null });
  fail(error ? `closed: ${error.message}` : "closed by the server");
});
process.on("SIGTERM", stop);
process.stdin.on("end", stop).on("error", stop).resume();
if (Number(options.timeout)) {
  setTimeout(() => fail(`nothing more after ${options.timeout} s`), Number(options.timeout) * 1000).unref();
}

try {
  await connection.start();
} catch (error) {
  fail(`cannot connect: ${error.message}`);
}
if (!stopping) {
  print({ connected: true });
  if (options.invoke) {
    const error = await connection.invoke(options.invoke).then(() => null, (reason) => reason.message);
    print({ invoked: options.invoke, error });
  }
}
