// A connection of Microsoft's SignalR client, as Bitwarden's clients make it.
import * as signalr from "@microsoft/signalr";
import { MessagePackHubProtocol } from "@microsoft/signalr-protocol-msgpack";

/** What a hub of Bitwarden's notifications calls at its clients. */
export const TARGETS = ["ReceiveMessage", "Heartbeat", "AuthRequestResponseRecieved"];

const toStderr = { log: (_level, message) => process.stderr.write(`${message}\n`) };
const quiet = { log: () => {} };

/**
 * `url` is a base, as `http://127.0.0.1:5000`; `anonymous` is the id of an auth request.
 * In Node the client puts its token in a header; with `tokenIn: "query"` it goes where a browser puts it.
 */
export function build({ url, token, tokenIn = "header", protocol = "messagepack", anonymous, negotiate = false, verbose = false }) {
  const address = new URL(url.replace(/\/+$/, "") + (anonymous ? "/anonymous-hub" : "/hub"));
  const options = {
    skipNegotiation: !negotiate,
    transport: signalr.HttpTransportType.WebSockets,
    logger: verbose ? toStderr : quiet,
  };
  if (anonymous) address.searchParams.set("Token", anonymous);
  if (token && tokenIn === "query") address.searchParams.set("access_token", token);
  if (token && tokenIn === "header") options.accessTokenFactory = () => token;
  return new signalr.HubConnectionBuilder()
    .withUrl(address.href, options)
    .withHubProtocol(protocol === "json" ? new signalr.JsonHubProtocol() : new MessagePackHubProtocol())
    .configureLogging(options.logger)
    .build();
}
