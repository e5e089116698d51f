// Stands in for Bitwarden's identity service: OpenID Connect's discovery, a key set, and tokens with the claims that a
// notifications service looks at. Prints `{"listening":URL}` once it listens.
//
//   IDENTITY_SECRET=... node identity.mjs
//
// A user's id is its name here, and any password is right.
import { generateKeyPairSync, randomUUID, sign } from "node:crypto";
import { createServer } from "node:http";

const HOUR = 3600;
const secret = process.env.IDENTITY_SECRET;
const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
const key = { ...publicKey.export({ format: "jwk" }), alg: "RS256", use: "sig", kid: randomUUID() };
// As Bitwarden's, it names itself without its port.
const issuer = "http://127.0.0.1";
let url;

function token(claims, lifetime) {
  const now = Math.floor(Date.now() / 1000);
  const part = (json) => Buffer.from(JSON.stringify(json)).toString("base64url");
  const header = part({ alg: key.alg, typ: "at+jwt", kid: key.kid });
  const text = `${header}.${part({ iss: issuer, nbf: now, iat: now, exp: now + lifetime, ...claims })}`;
  const signature = sign("sha256", Buffer.from(text), privateKey).toString("base64url");
  return { access_token: `${text}.${signature}`, expires_in: lifetime, token_type: "Bearer", scope: claims.scope.join(" ") };
}

/** What a request for a token gets, or nothing. */
function grant(form) {
  const client = form.get("client_id") ?? "";
  switch (form.get("grant_type")) {
    // Bitwarden's own services, which push.
    case "client_credentials": {
      const known = client.startsWith("internal.") && form.get("client_secret") === secret;
      return known && form.get("scope") === "internal" ? token({ client_id: client, scope: ["internal"] }, 24 * HOUR) : null;
    }
    // A user's client, which connects to the hub.
    case "password": {
      const user = { sub: form.get("username"), device: form.get("deviceIdentifier"), devicetype: "ChromeBrowser" };
      return token({ ...user, client_id: client, scope: ["api", "offline_access"], amr: ["Application"] }, HOUR);
    }
    default:
      return null;
  }
}

async function read(request) {
  let text = "";
  for await (const chunk of request) text += chunk;
  return new URLSearchParams(text);
}

async function answer(request) {
  switch (`${request.method} ${request.url}`) {
    case "GET /.well-known/openid-configuration":
      return [200, { issuer, jwks_uri: `${url}/keys`, token_endpoint: `${url}/connect/token` }];
    case "GET /keys":
      return [200, { keys: [key] }];
    case "POST /connect/token": {
      const granted = grant(await read(request));
      return granted ? [200, granted] : [400, { error: "invalid_client" }];
    }
    default:
      return [404, {}];
  }
}

const server = createServer(async (request, response) => {
  const [status, body] = await answer(request);
  response.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify(body));
});
server.listen(0, "127.0.0.1", () => {
  url = `http://127.0.0.1:${server.address().port}`;
  process.stdout.write(`${JSON.stringify({ listening: url })}\n`);
});
