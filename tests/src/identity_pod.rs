//! An identity server in a pod: OpenID Connect's discovery and a key set, and nothing else.

use anyhow::Result;
use serde_json::json;

use crate::namespace::Namespace;
use crate::{install, part};

const PORT: u16 = 5000;

/// The pod and its Service.
const NAME: &str = "identity";

/// The server.
const SCRIPT: &str = "\
const { ISSUER, URL, KEYS } = process.env;
const document = JSON.stringify({ issuer: ISSUER, jwks_uri: `${URL}/keys` });
const answers = { '/.well-known/openid-configuration': document, '/keys': KEYS };
require('http').createServer(({ url }, response) => {
  response.writeHead(url in answers ? 200 : 404).end(answers[url]);
}).listen(PORT);
";

/// Starts one that has these keys and names itself so; its address.
pub fn start(namespace: &Namespace, issuer: &str, jwks: &str) -> Result<String> {
    let url = format!("http://{NAME}.{}.svc:{PORT}", namespace.name);
    // The one image with Node.js.
    let image = install::image_name(namespace.cluster, "AZURITE_IMAGE", "nhub.test/azurite:test")?;
    let container = json!({
        "image": image,
        "command": ["node", "-e", SCRIPT.replace("PORT", &PORT.to_string())],
        "env": [
            {"name": "ISSUER", "value": issuer}, {"name": "URL", "value": url}, {"name": "KEYS", "value": jwks},
        ],
    });
    part::start(namespace, NAME, PORT, container, &json!([]))?;
    Ok(url)
}
