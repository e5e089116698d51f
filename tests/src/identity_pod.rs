//! An identity server in a pod, with an OpenID Connect discovery document and a JWKS.

use anyhow::Result;
use serde_json::json;

use crate::namespace::Namespace;
use crate::{install, service_pod};

const PORT: u16 = 5000;

/// The name of the pod and its Service.
const NAME: &str = "identity";

/// The program of the server, for Node.js.
const SCRIPT: &str = "\
const { ISSUER, URL, KEYS } = process.env;
const document = JSON.stringify({ issuer: ISSUER, jwks_uri: `${URL}/keys` });
const answers = { '/.well-known/openid-configuration': document, '/keys': KEYS };
require('http').createServer(({ url }, response) => {
  response.writeHead(url in answers ? 200 : 404).end(answers[url]);
}).listen(PORT);
";

/// Starts the pod with an issuer and a JWKS. Returns its URL.
pub fn start(namespace: &Namespace, issuer: &str, jwks: &str) -> Result<String> {
    let url = format!("http://{NAME}.{}.svc:{PORT}", namespace.name);
    // The only image with Node.js.
    let image = install::image_name(namespace.cluster, "AZURITE_IMAGE", "nhub.test/azurite:test")?;
    let container = json!({
        "image": image,
        "command": ["node", "-e", SCRIPT.replace("PORT", &PORT.to_string())],
        "env": [
            {"name": "ISSUER", "value": issuer}, {"name": "URL", "value": url}, {"name": "KEYS", "value": jwks},
        ],
    });
    service_pod::start(namespace, NAME, PORT, container, &json!([]))?;
    Ok(url)
}
