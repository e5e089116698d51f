// Creates a queue in a storage account, which is done once, by whoever sets the account up.
//
//   CONNECTION_STRING=... node create-queue.mjs NAME
import { createHmac } from "node:crypto";

const [name] = process.argv.slice(2);
const parts = process.env.CONNECTION_STRING.split(";").filter(Boolean);
const setting = Object.fromEntries(parts.map((part) => part.split(/=(.*)/s)));

// A shared access signature, signed with the account's key: all rights on queues, for an hour.
const until = new Date(Date.now() + 3_600_000).toISOString().replace(/\.\d+/, "");
const asked = { sp: "rwdlacup", ss: "q", srt: "sco", st: "", se: until, sip: "", spr: "http,https", sv: "2018-11-09" };
const text = [setting.AccountName, ...Object.values(asked), ""].join("\n");
const sig = createHmac("sha256", Buffer.from(setting.AccountKey, "base64")).update(text).digest("base64");

const address = new URL(`${setting.QueueEndpoint}/${name}`);
for (const [key, value] of Object.entries({ ...asked, sig })) {
  if (value) address.searchParams.set(key, value);
}
const response = await fetch(address, { method: "PUT" });
if (!response.ok) throw new Error(`the storage account answered ${response.status}: ${await response.text()}`);
