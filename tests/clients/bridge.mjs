// Forwards connections from a TCP port or a Unix socket to another. Two bridges connect to a network namespace: the one
// inside listens on a Unix socket, and the one outside connects to it. Prints `{"listening":PORT-OR-FILE}`.
import net from "node:net";
import { parseCommandLine } from "./arguments.mjs";

const usage = "usage: node bridge.mjs --listen HOST:PORT|FILE --connect HOST:PORT|FILE";
const options = parseCommandLine({ listen: { type: "string" }, connect: { type: "string" } }, ["listen", "connect"], usage);

function address(text) {
  if (text.includes("/")) return { path: text };
  const [host, port] = text.split(":");
  return { host, port: Number(port) };
}

const server = net.createServer((incoming) => {
  const outgoing = net.connect(address(options.connect));
  incoming.pipe(outgoing).pipe(incoming);
  incoming.on("error", () => outgoing.destroy());
  outgoing.on("error", () => incoming.destroy());
});
server.on("error", (error) => {
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
});
server.listen(address(options.listen), () => {
  process.stdout.write(`${JSON.stringify({ listening: server.address().port ?? server.address() })}\n`);
});
