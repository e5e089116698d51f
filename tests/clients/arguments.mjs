// Command lines of the drivers: `--name value` and `--flag`.
import { parseArgs } from "node:util";

/** Reads the process's arguments; anything unknown or missing ends it with usage and exit status 2. */
export function read(options, required, usage) {
  try {
    const { values } = parseArgs({ options });
    for (const name of required) {
      if (values[name] === undefined) throw new Error(`--${name} is missing`);
    }
    return values;
  } catch (error) {
    process.stderr.write(`${error.message}\n${usage}\n`);
    process.exit(2);
  }
}
