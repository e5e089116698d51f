//! The command `doctor` with real parts that are broken: the first `FAIL` names the cause.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use notification_hub_tests::azurite::Azurite;
use notification_hub_tests::issuer::Issuer;
use notification_hub_tests::keys::SigningKey;
use notification_hub_tests::local_hub::LocalHub;
use notification_hub_tests::nginx::Nginx;
use notification_hub_tests::pages::{block, read};
use notification_hub_tests::redis::Redis;
use notification_hub_tests::sentinels::Sentinels;
use notification_hub_tests::{certificate, programs, secrets, token};
use serde_json::{Value, json};
use tempfile::TempDir;

const USER: &str = "d2ea5b72-6d47-4d20-b5a3-b7a6e89d8e7c";

/// Ports that the system chooses.
const ANY_PORTS: &str =
    "listen.public = '127.0.0.1:0'\nlisten.internal = '127.0.0.1:0'\nlisten.admin = '127.0.0.1:0'\n";

/// Prints the current time in the form of the header `Date`.
const HTTP_DATE: [&str; 3] = ["-u", "-d", "now"];

/// What a run printed.
struct Printed {
    success: bool,
    lines: Vec<String>,
}

impl Printed {
    /// Runs a command. Fails if it prints a secret.
    fn run(command: &mut Command) -> Result<Printed> {
        let output = command.output()?;
        let text = format!("{}{}", String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
        secrets::assert_none_in("the report", &text);
        ensure!(matches!(output.status.code(), Some(0 | 1)), "{:?}: {text}", output.status);
        Ok(Printed { success: output.status.success(), lines: text.lines().map(str::to_owned).collect() })
    }

    /// Checks that the first `FAIL`, or without one the first `WARN`, begins with a text, and that the exit status fits.
    fn expect_first(&self, what: &str, expected: &str) -> Result<()> {
        let first = |status: &str| self.lines.iter().find(|line| line.starts_with(status));
        let first = first("FAIL ").or(first("WARN "));
        let first = first.with_context(|| format!("{what}: nothing was found in {:#?}", self.lines))?;
        ensure!(first.starts_with(expected), "{what}: {expected:?} is expected, not {:#?}", self.lines);
        ensure!(first.ends_with(')') && first.contains("(docs/"), "{what}: no page in {first}");
        let has_failed = self.lines.iter().any(|line| line.starts_with("FAIL "));
        ensure!(self.success != has_failed, "{what}: the exit status does not fit {:#?}", self.lines);
        Ok(())
    }

    /// Checks that every line begins with `OK`.
    fn expect_ok(&self) -> Result<()> {
        ensure!(self.success && self.lines.iter().all(|line| line.starts_with("OK ")), "{:#?}", self.lines);
        Ok(())
    }
}

/// The files of a hub.
struct Files {
    folder: TempDir,
    key: SigningKey,
}

impl Files {
    fn create() -> Result<Files> {
        let (folder, key) = (tempfile::tempdir()?, SigningKey::es256()?);
        std::fs::write(folder.path().join("key.pem"), &key.public_pem)?;
        Ok(Files { folder, key })
    }

    fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text)?;
        Ok(path)
    }

    /// Returns `doctor` with these settings. Without a line about keys, it has the key of this folder.
    fn doctor(&self, settings: &str) -> Result<Command> {
        let mut text = settings.to_owned();
        if !settings.contains("auth.") {
            text.push_str(&format!("\nauth.keys = [{:?}]", self.folder.path().join("key.pem")));
        }
        if !settings.contains("listen.") {
            text.push_str(&format!("\n{ANY_PORTS}"));
        }
        let mut command = Command::new(programs::find("notification-hub")?);
        command.arg("doctor").arg("--config").arg(self.write("hub.toml", &text)?);
        Ok(command)
    }

    fn run(&self, settings: &str) -> Result<Printed> {
        Printed::run(&mut self.doctor(settings)?)
    }
}

/// Replaces numbers and addresses, which differ between runs.
fn without_numbers(line: &str) -> String {
    let mut text = String::new();
    for part in line.split_inclusive(|character: char| !character.is_ascii_digit()) {
        text.push_str(part.trim_start_matches(|character: char| character.is_ascii_digit()));
    }
    text.replace("..", "").replace(':', "")
}

#[test]
fn doctor_of_a_complete_deployment_prints_the_documented_lines() -> Result<()> {
    let (files, redis) = (Files::create()?, Redis::start()?);
    let issuer = Issuer::start(Some(&SigningKey::rs256()?.jwks))?;
    let mut date = Command::new("date");
    date.env("LC_ALL", "C").args(HTTP_DATE).arg("+%a, %d %b %Y %H:%M:%S GMT");
    issuer.set_date(String::from_utf8(date.output()?.stdout)?.trim());
    let mut claims = token::user(USER, &[], "ChromeBrowser", "device");
    claims["iss"] = json!("http://localhost");
    let token = files.write("token", &format!("{}\n", files.key.signer()?.sign(&claims)?))?;
    let key = files.folder.path().join("key.pem");
    let settings = format!("auth.keys = [{key:?}]\nauth.authority = '{}'\n{}", issuer.url(), redis.settings());
    let mut command = files.doctor(&settings)?;
    let printed = Printed::run(command.arg("--token-file").arg(&token))?;
    printed.expect_ok()?;
    let page = read("docs/troubleshooting.md")?;
    let documented: Vec<_> = block(&page, "doctor")?.lines().map(without_numbers).collect();
    let found: Vec<_> = printed.lines.iter().map(|line| without_numbers(line)).collect();
    ensure!(documented == found, "the page has {documented:#?}, and the program prints {:#?}", printed.lines);

    let json = command.args(["--output", "json"]).output()?;
    let json: Value = serde_json::from_slice(&json.stdout)?;
    ensure!(json["ok"] == true, "{json}");
    ensure!(json["checks"].as_array().is_some_and(|checks| checks.len() == printed.lines.len()), "{json}");
    Ok(())
}

#[test]
fn doctor_names_what_is_wrong_with_settings_keys_and_ports() -> Result<()> {
    let files = Files::create()?;
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let listen = |public: SocketAddr, internal: SocketAddr, admin: SocketAddr| {
        format!("listen.public = '{public}'\nlisten.internal = '{internal}'\nlisten.admin = '{admin}'")
    };
    let any: SocketAddr = ([127, 0, 0, 1], 0).into();
    for (settings, expected) in [
        ("nonsense = 1", "FAIL  configuration: nonsense "),
        ("auth.keys = ['/missing']", "FAIL  keys: auth.keys: /missing: "),
        ("connection_token_key_file = '/missing'", "FAIL  connection token key: connection_token_key_file: "),
        ("backplane.redis.url = 'redis://127.0.0.1:9'", "FAIL  redis: "),
        (
            "backplane.redis.url = 'rediss://127.0.0.1:9'\nbackplane.redis.ca_file = '/missing'",
            "FAIL  redis: backplane.redis.ca_file: ",
        ),
        (&listen(taken.local_addr()?, any, any), "FAIL  port: listen.public: cannot listen on "),
    ] {
        files.run(settings)?.expect_first(settings, expected)?;
    }
    let hub = LocalHub::start("")?;
    let printed = files.run(&listen(hub.public, hub.internal, hub.admin))?;
    printed.expect_ok()?;
    let served = printed.lines.iter().filter(|line| line.contains("a hub serves"));
    ensure!(served.count() == 3, "{:#?}", printed.lines);

    let doctor = files.doctor("limits.max_connections = 5000")?;
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -n 256 && exec \"$0\" \"$@\""]).arg(doctor.get_program()).args(doctor.get_args());
    Printed::run(&mut shell)?.expect_first("few descriptors", "WARN  descriptors: ")?;
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("own.crt"), "nothing")?;
    let mut with_folder = files.doctor("")?;
    let printed = Printed::run(with_folder.env("SSL_CERT_DIR", folder.path()))?;
    printed.expect_first("no certificate", "WARN  certificate authorities: ")
}

#[test]
fn doctor_names_what_is_wrong_with_tokens_and_their_issuer() -> Result<()> {
    let files = Files::create()?;
    let issuer = Issuer::start(Some(&files.key.jwks))?;
    let authority = format!("auth.authority = '{}'", issuer.url());
    let other_issuer = format!("{authority}\nauth.issuer = 'https://vault.example.com/identity'");
    files.run(&other_issuer)?.expect_first("issuer", "FAIL  discovery: the issuer is \"http://127.0.0.1\"")?;
    for (claim, value, expected) in [
        ("iss", json!("http://other"), "FAIL  token: the issuer is invalid"),
        ("exp", json!(1), "FAIL  token: the token is expired"),
        ("scope", json!(["internal"]), "FAIL  token: the token does not have the scope"),
    ] {
        let mut claims = token::user(USER, &[], "ChromeBrowser", "device");
        claims["iss"] = json!(issuer.issuer());
        claims["nbf"] = json!(0);
        claims[claim] = value;
        let token = files.write("token", &files.key.signer()?.sign(&claims)?)?;
        let mut command = files.doctor(&authority)?;
        Printed::run(command.arg("--token-file").arg(token))?.expect_first(claim, expected)?;
    }
    let claims = token::user(USER, &[], "ChromeBrowser", "device");
    let token = files.write("token", &SigningKey::es256()?.signer()?.sign(&claims)?)?;
    let mut command = files.doctor(&authority)?;
    let printed = Printed::run(command.arg("--token-file").arg(token))?;
    printed.expect_first("another key", "FAIL  token: the signature is invalid")?;
    issuer.set_date("Wed, 01 Jan 2020 00:00:00 GMT");
    files.run(&authority)?.expect_first("clock", "FAIL  clock: this machine is ")?;
    issuer.set_keys(None);
    files.run(&authority)?.expect_first("outage", "FAIL  discovery: ")
}

#[test]
fn doctor_names_what_is_wrong_with_redis() -> Result<()> {
    let files = Files::create()?;
    for (arguments, expected) in [
        (&["-publish"][..], "FAIL  redis rights: the user \"hub\" may not run PUBLISH "),
        (&["-subscribe"], "FAIL  redis rights: the user \"hub\" may not run SUBSCRIBE "),
        (&["-eval", "-info"], "WARN  redis rights: the user \"hub\" may not run INFO, EVAL "),
        (&["resetkeys", "~other:*"], "WARN  redis rights: the user \"hub\" may not run SET, GET, MGET, EVAL, DEL "),
        (&["resetchannels", "&other.*"], "FAIL  redis rights: the user \"hub\" may not run SUBSCRIBE, PUBLISH "),
        (&["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"], "WARN  redis memory: "),
        (
            &["+config|get", "--client-output-buffer-limit", "pubsub 1mb 1mb 1"],
            "WARN  redis buffer: client-output-buffer-limit pubsub 1048576 1048576 1",
        ),
    ] {
        let redis = Redis::start_with_arguments(arguments)?;
        files.run(&redis.settings())?.expect_first(&arguments.join(" "), expected)?;
    }
    let redis = Redis::start()?;
    let wrong = redis.settings().replace("password = '", "password = 'x");
    files.run(&wrong)?.expect_first("wrong password", "FAIL  redis: ")?;
    files.run(&redis.settings_for_database(99))?.expect_first("database", "FAIL  redis: ")?;

    let tls = Redis::start_with_tls()?;
    files.run(&tls.settings())?.expect_ok()?;
    let untrusted = tls.settings().lines().filter(|line| !line.contains("ca_file")).collect::<Vec<_>>().join("\n");
    files.run(&untrusted)?.expect_first("unknown authority", "FAIL  redis: ")?;
    let expired = Redis::start_with_expired_certificate()?;
    let printed = files.run(&expired.settings())?;
    printed.expect_first("expired certificate", "FAIL  redis: ")?;
    ensure!(printed.lines.iter().any(|line| line.contains("expired")), "{:#?}", printed.lines);

    let sentinels = Sentinels::start()?;
    files.run(&sentinels.settings())?.expect_first("one Sentinel", "WARN  sentinels: 127.0.0.1:9: ")?;
    let unknown = sentinels.settings_for_service("other");
    files.run(&unknown)?.expect_first("service", "FAIL  sentinels: 127.0.0.1:9: ")
}

#[test]
fn doctor_names_what_is_wrong_with_the_queue() -> Result<()> {
    let (files, azurite) = (Files::create()?, Azurite::start()?);
    let settings = |connection: &str| {
        format!("source.kind = 'azure_queue'\nsource.azure_queue.connection_string = '{connection}'")
    };
    let connection = azurite.connection_string(azurite.port());
    files
        .run(&settings(&connection))?
        .expect_first("missing", "FAIL  queue: notifications: the queue does not exist")?;
    azurite.queue("notifications")?.create()?;
    files.run(&settings(&connection))?.expect_ok()?;
    files.run(&settings(&azurite.sas_connection_string()?))?.expect_ok()?;
    for (what, connection, expected) in [
        ("cannot delete", azurite.sas_connection_string_with("ra")?, "FAIL  queue: notifications: a message cannot be"),
        (
            "cannot read",
            azurite.sas_connection_string_with("a")?,
            "FAIL  queue: notifications: the storage account refused",
        ),
        ("no port", azurite.connection_string(9), "FAIL  queue: notifications: cannot reach the storage account"),
    ] {
        files.run(&settings(&connection))?.expect_first(what, expected)?;
    }
    Ok(())
}

/// A fault on the way to a hub: changes of the documented configuration of nginx, and the first `FAIL` or `WARN`.
struct Fault {
    name: &'static str,
    changes: &'static [(&'static str, &'static str)],
    expected: &'static str,
}

const PROXY_PASS: &str = "proxy_pass http://notifications/;";

const FAULTS: [Fault; 14] = [
    Fault {
        name: "no Upgrade",
        changes: &[("proxy_set_header Upgrade $http_upgrade;", "")],
        expected: "FAIL  websocket: Connection ID required; the header 'Upgrade: websocket' is missing",
    },
    Fault {
        name: "no Connection",
        changes: &[("proxy_set_header Connection $connection_upgrade;", "")],
        expected: "FAIL  websocket: Connection ID required; the header 'Connection: Upgrade' is missing",
    },
    Fault {
        name: "HTTP/1.0",
        changes: &[("proxy_http_version 1.1;", "")],
        expected: "FAIL  websocket: Connection ID required; this is a WebSocket endpoint, and the request is not an HTTP/1.1",
    },
    Fault {
        name: "another host",
        changes: &[(PROXY_PASS, "return 301 https://other.example.com/;")],
        expected: "FAIL  alive: status 301 to \"https://other.example.com/\"; clients do not follow redirects",
    },
    Fault {
        name: "forward auth",
        changes: &[(PROXY_PASS, "return 302 https://sso.example.com/start/login?rd=x;")],
        expected: "FAIL  alive: status 302 to \"https://sso.example.com/start/login\"; a proxy sends clients to a login page",
    },
    Fault {
        name: "login page",
        changes: &[(PROXY_PASS, "default_type text/html; return 200 '<input type=\"password\">';")],
        expected: "FAIL  alive: a login page; ",
    },
    Fault {
        name: "basic authentication",
        changes: &[(PROXY_PASS, "auth_basic vault; auth_basic_user_file /dev/null; proxy_pass http://notifications/;")],
        expected: "FAIL  alive: status 401 from nginx/",
    },
    Fault {
        name: "200 to everything",
        changes: &[(PROXY_PASS, "return 200 ok;")],
        expected: "FAIL  alive: status 200 with ",
    },
    Fault {
        name: "default page",
        changes: &[(PROXY_PASS, "default_type text/html; return 200 '<h1>Welcome to nginx!</h1>';")],
        expected: "FAIL  alive: the default page of nginx; ",
    },
    Fault {
        name: "wrong upstream",
        changes: &[(PROXY_PASS, "proxy_pass http://127.0.0.1:9/;")],
        expected: "FAIL  alive: status 502 from nginx/",
    },
    Fault {
        name: "another path",
        changes: &[("location /notifications/", "location /other/")],
        expected: "FAIL  alive: status 404 from nginx/",
    },
    Fault {
        name: "no Authorization",
        changes: &[("proxy_set_header Host $host;", "proxy_set_header Authorization '';")],
        expected: "FAIL  negotiate: status 401 without an error; the hub did not receive the token",
    },
    Fault {
        name: "buffering",
        changes: &[("proxy_buffering off;", "")],
        expected: "WARN  server-sent events: no event arrives; the proxy buffers responses",
    },
    Fault {
        name: "senders' path",
        changes: &[("location = /notifications/send", "location = /elsewhere")],
        expected: "WARN  send: a hub answers at /send; ",
    },
];

/// Returns `doctor` for a URL, with the authority of nginx's certificate if there is one.
fn doctor_url(url: &str, authority: Option<&Path>) -> Result<Command> {
    let mut command = Command::new(programs::find("notification-hub")?);
    command.args(["doctor", "--url", url]);
    if let Some(authority) = authority {
        command.env("SSL_CERT_FILE", authority).env_remove("SSL_CERT_DIR");
    }
    Ok(command)
}

fn make_certificate(folder: &Path) -> Result<()> {
    certificate::make(folder, "IP:127.0.0.1")
}

#[test]
fn doctor_of_the_documented_nginx_prints_the_documented_lines() -> Result<()> {
    let (files, hub) = (Files::create()?, LocalHub::start("listen.send_on_public = true")?);
    let nginx = Nginx::start(&[hub.public])?;
    let token = files.write("token", &hub.token(USER, &[])?)?;
    let mut command = doctor_url(&nginx.url, Some(&nginx.certificate()))?;
    let printed = Printed::run(command.arg("--token-file").arg(&token))?;
    printed.expect_ok()?;
    let page = read("docs/troubleshooting.md")?;
    let documented: Vec<_> = block(&page, "doctor-url")?.lines().map(without_numbers).collect();
    let found: Vec<_> = printed.lines.iter().map(|line| without_numbers(line)).collect();
    ensure!(documented == found, "the page has {documented:#?}, and the program prints {:#?}", printed.lines);
    // Without a token, the anonymous hub is used.
    Printed::run(&mut doctor_url(&nginx.url, Some(&nginx.certificate()))?)?.expect_ok()?;
    let expired = {
        let mut claims = token::user(USER, &[], "ChromeBrowser", "device");
        (claims["nbf"], claims["exp"]) = (json!(0), json!(1));
        files.write("expired", &hub.signer().sign(&claims)?)?
    };
    let mut command = doctor_url(&nginx.url, Some(&nginx.certificate()))?;
    let printed = Printed::run(command.arg("--token-file").arg(expired))?;
    printed.expect_first("expired token", "FAIL  negotiate: status 401: The token expired")?;
    // Directly, without a proxy.
    let printed = Printed::run(&mut doctor_url(&hub.url(), None)?)?;
    printed.expect_first("no proxy", "WARN  send: a hub answers at /send")
}

#[test]
fn doctor_names_the_fault_of_nginx() -> Result<()> {
    let (files, hub) = (Files::create()?, LocalHub::start("listen.send_on_public = true")?);
    let token = files.write("token", &hub.token(USER, &[])?)?;
    let check = |fault: &Fault| -> Result<()> {
        let nginx = Nginx::start_changed(&[hub.public], make_certificate, fault.changes)?;
        let mut command = doctor_url(&nginx.url, Some(&nginx.certificate()))?;
        Printed::run(command.arg("--token-file").arg(&token))?.expect_first(fault.name, fault.expected)
    };
    let check = &check;
    std::thread::scope(|scope| {
        let running: Vec<_> = FAULTS.iter().map(|fault| scope.spawn(move || check(fault))).collect();
        running.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(|_| anyhow::bail!("a panic")))
    })
}

#[test]
fn doctor_names_the_fault_of_tls_and_of_the_idle_timeout() -> Result<()> {
    let hub = LocalHub::start("")?;
    let expired = |folder: &Path| certificate::make_expired(folder, "IP:127.0.0.1");
    let other = |folder: &Path| certificate::make(folder, "DNS:other.example.com");
    let with = |make: &dyn Fn(&Path) -> Result<()>| Nginx::start_changed(&[hub.public], make, &[]);
    let (valid, expired, other) = (with(&make_certificate)?, with(&expired)?, with(&other)?);
    let trusted = |nginx: &Nginx| doctor_url(&nginx.url, Some(&nginx.certificate()));
    for (name, mut command, expected) in [
        ("expired", trusted(&expired)?, "the certificate has expired"),
        ("name", trusted(&other)?, "the certificate is for another host"),
        (
            "authority",
            doctor_url(&valid.url, Some(&other.certificate()))?,
            "no trusted authority signed the certificate",
        ),
        ("no TLS", doctor_url(&hub.url().replace("http:", "https:"), None)?, "the port does not speak TLS"),
    ] {
        let printed = Printed::run(&mut command)?;
        printed.expect_first(name, "FAIL  tls: 127.0.0.1:")?;
        ensure!(printed.lines.iter().any(|line| line.contains(expected)), "{name}: {:#?}", printed.lines);
    }
    let plain = valid.url.replace("https:", "http:");
    Printed::run(&mut doctor_url(&plain, None)?)?.expect_first("no https", "FAIL  alive: the port expects TLS; ")?;
    let short = [("proxy_read_timeout 120s;", "proxy_read_timeout 1s;")];
    let short = Nginx::start_changed(&[hub.public], make_certificate, &short)?;
    Printed::run(trusted(&short)?.arg("--idle"))?.expect_first("idle timeout", "FAIL  idle: closed after ")
}

/// Starts a server that answers each request with some bytes, or with the request if there are none. Its threads end with the
/// process.
fn start_server(answer: &'static [u8]) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut request = [0; 4096];
                // An error means that the client has closed the connection.
                while let Ok(length @ 1..) = stream.read(&mut request) {
                    let _ = stream.write_all(if answer.is_empty() { &request[..length] } else { answer });
                }
            });
        }
    });
    Ok(address)
}

#[test]
fn doctor_names_another_server_than_a_hub() -> Result<()> {
    let vaultwarden = b"HTTP/1.1 404 Not Found\r\nServer: Rocket\r\nContent-Length: 0\r\n\r\n";
    let silent = TcpListener::bind("127.0.0.1:0")?;
    for (url, expected) in [
        (format!("http://{}", start_server(vaultwarden)?), "FAIL  alive: status 404 from Rocket; Vaultwarden answers"),
        (format!("http://{}", start_server(b"")?), "FAIL  http: 127.0.0.1:"),
        (format!("http://{}", silent.local_addr()?), "FAIL  http: 127.0.0.1:"),
        ("http://127.0.0.1:9".to_owned(), "FAIL  tcp: 127.0.0.1:9: "),
        ("http://hub.invalid".to_owned(), "FAIL  dns: hub.invalid: "),
    ] {
        Printed::run(&mut doctor_url(&url, None)?)?.expect_first(&url, expected)?;
    }
    Ok(())
}
