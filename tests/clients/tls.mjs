// Terminates TLS for a plain server, like an ingress. Prints `{"port":N}` once it listens on the loopback.
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { createServer } from "node:tls";
import { parseCommandLine } from "./arguments.mjs";

const usage = "usage: node tls.mjs --certificate FILE --key FILE --port PORT";
const options = parseCommandLine(
  { certificate: { type: "string" }, key: { type: "string" }, port: { type: "string" } },
  ["certificate", "key", "port"],
  usage,
);

const server = createServer({ cert: readFileSync(options.certificate), key: readFileSync(options.key) }, (client) => {
  const plain = connect(Number(options.port), "127.0.0.1");
  client.pipe(plain).pipe(client);
  client.on("error", () => plain.destroy());
  plain.on("error", () => client.destroy());
});
// A client that does not trust the certificate closes the connection.
server.on("tlsClientError", () => {});
server.listen(0, "127.0.0.1", () => process.stdout.write(`${JSON.stringify({ port: server.address().port })}\n`));
process.stdin.on("end", () => process.exit(0)).resume();
