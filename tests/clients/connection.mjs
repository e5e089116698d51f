// A connection of Microsoft's SignalR client with the options of Bitwarden's clients. Browser pages load this file too.
import * as signalr from "@microsoft/signalr";
import { MessagePackHubProtocol } from "@microsoft/signalr-protocol-msgpack";

/** The methods that the hubs of Bitwarden's notifications service call at clients. */
const TARGETS = ["ReceiveMessage", "Heartbeat", "AuthRequestResponseRecieved"];

/** The delay before a reconnect, shorter than the library's so that tests are fast. */
const RECONNECT_MILLISECONDS = 200;

const toStderr = { log: (_level, message) => console.error(message) };
const quiet = { log: () => {} };

/**
 * Creates a connection. `url` is a base URL such as `http://127.0.0.1:5000`. `anonymous` is the id of an auth request.
 * Under Node.js the client sends its token in a header, and with `tokenIn: "query"` in the query like a browser.
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
  // Without a transport, the client would choose one.
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

/** Starts a connection, calls `method` if it is given, and reports each event as an object. */
export async function run(connection, method, report) {
  for (const target of TARGETS) connection.on(target, (...values) => report({ target, arguments: values }));
  connection.onreconnected(() => report({ reconnected: true }));
  connection.onclose((error) => report({ closed: true, error: error?.message ?? null }));
  await connection.start();
  report({ connected: true });
  if (method) {
    const error = await connection.invoke(method).then(() => null, (reason) => reason.message);
    report({ invoked: method, error });
  }
}
