// The clients of one process or one browser page.
import { build, run } from "./connection.mjs";

const members = [];

/** Connects a client, whose lines are reported with its name. Reports `{"refused":REASON}` if it cannot connect. */
export async function join({ client, invoke, ...options }, tell) {
  const told = (line) => tell({ client, ...line });
  try {
    const connection = build(options);
    members.push(connection);
    await run(connection, invoke, told);
  } catch (error) {
    told({ refused: error.message });
  }
}

/** Stops all clients. */
export async function leave() {
  await Promise.all(members.map((connection) => connection.stop()));
}
