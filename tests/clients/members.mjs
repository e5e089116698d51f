// The clients of one process or one browser page.
import { build, run } from "./connection.mjs";

const connections = [];

/** Connects a client, whose lines are reported with its name. Reports `{"refused":REASON}` if it cannot connect. */
export async function connectClient({ client, invoke, ...options }, report) {
  const reportNamed = (line) => report({ client, ...line });
  try {
    const connection = build(options);
    connections.push(connection);
    await run(connection, invoke, reportNamed);
  } catch (error) {
    reportNamed({ refused: error.message });
  }
}

/** Stops all clients. */
export async function stopClients() {
  await Promise.all(connections.map((connection) => connection.stop()));
}
