// The command lines of the clients: `--name value` and `--flag`.
import { parseArgs } from "node:util";

/** Parses the arguments of the process. Ends it with its usage and exit status 2 if one is unknown or missing. */
export function parseCommandLine(options, required, usage) {
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
