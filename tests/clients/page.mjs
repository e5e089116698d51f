// A page with Microsoft's client in a headless Chromium. Its origin is not that of the hub.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { chromium } from "playwright-core";

const args = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--no-first-run",
  // Chromium connects to this machine only.
  "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
];

// The library's bundles for browsers are not modules. They export a global variable.
const imports = {
  "@microsoft/signalr": "data:text/javascript,export const { HttpTransportType, HubConnectionBuilder, JsonHubProtocol } = signalR",
  "@microsoft/signalr-protocol-msgpack": "data:text/javascript,export const { MessagePackHubProtocol } = signalR.protocols.msgpack",
};
const html = `<!doctype html>
<link rel="icon" href="data:,">
<script src="signalr.js"></script>
<script src="signalr-protocol-msgpack.js"></script>
<script type="importmap">${JSON.stringify({ imports })}</script>`;

function file(path) {
  return readFileSync(new URL(path, import.meta.url));
}

const served = {
  "/": ["text/html", html],
  "/signalr.js": ["text/javascript", file("node_modules/@microsoft/signalr/dist/browser/signalr.js")],
  "/signalr-protocol-msgpack.js": [
    "text/javascript",
    file("node_modules/@microsoft/signalr-protocol-msgpack/dist/browser/signalr-protocol-msgpack.js"),
  ],
  "/connection.mjs": ["text/javascript", file("connection.mjs")],
  "/members.mjs": ["text/javascript", file("members.mjs")],
};

function serve() {
  const server = createServer((request, response) => {
    const [type, body] = served[request.url] ?? [];
    response.writeHead(type ? 200 : 404, { "content-type": type ?? "text/plain" }).end(body);
  });
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => resolve(`http://127.0.0.1:${server.address().port}`));
  });
}

/** Opens the page with a Chromium. `report` receives the lines of its clients. */
export async function open(executablePath, report) {
  const origin = await serve();
  const browser = await chromium.launch({ executablePath, args });
  const page = await browser.newPage();
  page.on("console", (message) => process.stderr.write(`${message.text()}\n`));
  await page.exposeFunction("report", report);
  await page.goto(origin);
  return {
    origin,
    connectClient: (options) =>
      page.evaluate(async (options) => (await import("/members.mjs")).connectClient(options, report), options),
    stopClients: async () => {
      await page.evaluate(async () => (await import("/members.mjs")).stopClients());
      await browser.close();
    },
  };
}
