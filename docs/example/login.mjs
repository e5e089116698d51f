// Asks an identity server for the token of a user, as a client does that logs in, and prints it.
//
//   node login.mjs IDENTITY-URL USER-ID
import { randomUUID } from "node:crypto";

const [identity, user] = process.argv.slice(2);
const form = new URLSearchParams({
  grant_type: "password",
  client_id: "web",
  scope: "api offline_access",
  username: user,
  password: "any",
  deviceIdentifier: randomUUID(),
});
const response = await fetch(`${identity}/connect/token`, { method: "POST", body: form });
if (!response.ok) throw new Error(`the identity server answered ${response.status}`);
process.stdout.write(`${(await response.json()).access_token}\n`);
