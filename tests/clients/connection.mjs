// A connection of Microsoft's SignalR client, as Bitwarden's clients make it. Pages of a browser load this file too.
import * as signalr from "@microsoft/signalr";
import { MessagePackHubProtocol } from "@microsoft/signalr-protocol-msgpack";

/** What a hub of Bitwarden's notifications calls at its clients. */
const TARGETS = ["ReceiveMessage", "Heartbeat", "AuthRequestResponseRecieved"];

/** A test does not wait as long between two attempts as the library would. */
const RECONNECT_MILLISECONDS = 200;

const toStderr = { log: (_level, message) => console.error(message) };
const quiet = { log: () => {} };

/**
 * `url` is a base, as `http://127.0.0.1:5000`; `anonymous` is the id of an auth request.
 * In Node the client puts its token in a header; with `tokenIn: "query"` it goes where a browser puts it.
 */
export function build({
  url,
  token,
  tokenIn = "header",
  transport = "WebSockets",
  protocol = "messagepack",
  anonymous,
  negotiate = false,
  reconnect = false,
  verbose = false,
}) {
  const address = new URL(url.replace(/\/+$/, "") + (anonymous ? "/anonymous-hub" : "/hub"));
  const options = {
    skipNegotiation: !negotiate,
    transport: signalr.HttpTransportType[transport],
    logger: verbose ? toStderr : quiet,
  };
  // Without one, the client would take any.
  if (!options.transport) throw new Error(`no transport is called ${transport}`);
  if (anonymous) address.searchParams.set("Token", anonymous);
  if (token && tokenIn === "query") address.searchParams.set("access_token", token);
  if (token && tokenIn === "header") options.accessTokenFactory = () => token;
  const builder = new signalr.HubConnectionBuilder()
    .withUrl(address.href, options)
    .withHubProtocol(protocol === "json" ? new signalr.JsonHubProtocol() : new MessagePackHubProtocol())
    .configureLogging(options.logger);
  if (reconnect) builder.withAutomaticReconnect({ nextRetryDelayInMilliseconds: () => RECONNECT_MILLISECONDS });
  return builder.build();
}

/** Starts a connection, calls `method` if there is one, and tells of all that happens: one object at a time. */
export async function run(connection, method, tell) {
  for (const target of TARGETS) connection.on(target, (...values) => tell({ target, arguments: values }));
  connection.onreconnected(() => tell({ reconnected: true }));
  connection.onclose((error) => tell({ closed: true, error: error?.message ?? null }));
  await connection.start();
  tell({ connected: true });
  if (method) {
    const error = await connection.invoke(method).then(() => null, (reason) => reason.message);
    tell({ invoked: method, error });
  }
}
