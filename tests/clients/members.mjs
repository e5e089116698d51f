// The clients that share a process, or a page of a browser.
import { build, run } from "./connection.mjs";

const members = [];

/** Connects one more, whose lines bear its name; `{"refused":WHY}` if that fails. */
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

/** Stops all of them. */
export async function leave() {
  await Promise.all(members.map((connection) => connection.stop()));
}
