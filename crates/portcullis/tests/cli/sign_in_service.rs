//! The service that signs people in, as far as Codex asks it: a proxy that answers for OpenAI's hosts itself, so that the real
//! Codex goes its whole way and nothing leaves this machine.

use std::io::{BufRead, BufReader, Read as _, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use camino::Utf8Path;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use crate::program::Program;

/// The hosts that it answers for.
const HOSTS: [&str; 2] = ["auth.openai.com", "chatgpt.com"];
/// When the limits of the login are full again: in the year 2036.
pub(crate) const RESETS_AT: u32 = 2_100_000_000;
/// What a person types in.
pub(crate) const CODE: &str = "LAB-CODE";

/// The service. It serves until the test's process ends.
pub(crate) struct SignInService {
    address: SocketAddr,
    certificate: String,
    typed_in: Arc<AtomicBool>,
}

impl SignInService {
    pub(crate) fn start() -> Self {
        let names = HOSTS.map(str::to_owned).to_vec();
        let made = rcgen::generate_simple_self_signed(names).expect("a certificate for two names");
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("it was just made");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.expect("its own versions").with_no_client_auth();
        let config =
            config.with_single_cert(vec![made.cert.der().clone()], key).expect("they belong together");
        let listener = listen();
        let service = Self {
            address: listener.local_addr().expect("it is bound"),
            certificate: made.cert.pem(),
            typed_in: Arc::default(),
        };
        let (config, typed_in) = (Arc::new(config), Arc::clone(&service.typed_in));
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let (config, typed_in) = (Arc::clone(&config), Arc::clone(&typed_in));
                // A client that leaves ends its thread.
                std::thread::spawn(move || serve(connection, config, &typed_in));
            }
        });
        service
    }

    /// Has the Codex of this home come here: it reads its environment there.
    pub(crate) fn is_known_in(&self, codex_home: &Utf8Path) {
        std::fs::create_dir_all(codex_home).expect("a directory of the test");
        let believed = codex_home.join("believed.pem");
        std::fs::write(&believed, &self.certificate).expect("a directory of the test");
        let environment = format!("HTTPS_PROXY=http://{}\nSSL_CERT_FILE={believed}\n", self.address);
        std::fs::write(codex_home.join(".env"), environment).expect("a directory of the test");
    }

    /// A program whose Codex can reach it.
    pub(crate) fn reached_by(program: Program) -> Program {
        if is_root() { program } else { program.env("PORTCULLIS__CONFINE__LEVEL", "off") }
    }

    /// The person types in the code that is waited for.
    pub(crate) fn type_in(&self) {
        self.typed_in.store(true, Ordering::SeqCst);
    }

    /// The same, for who is in another process.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/type-in", self.address)
    }
}

/// A Codex that signs in is let through to port 443 alone. Who may not listen there has no cell around it either.
fn listen() -> TcpListener {
    let address = |last| SocketAddr::from(([127, 83, 0, last], 443));
    let free = if is_root() {
        (1..255).find_map(|last| TcpListener::bind(address(last)).ok())
    } else {
        TcpListener::bind("127.0.0.1:0").ok()
    };
    free.expect("a place on loopback, for root one with port 443")
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn serve(connection: TcpStream, config: Arc<ServerConfig>, typed_in: &AtomicBool) -> Option<()> {
    let mut plain = BufReader::new(connection);
    let target = request(&mut plain)?;
    if target == "GET /type-in" {
        typed_in.store(true, Ordering::SeqCst);
        return answer(plain.get_mut(), 200, &json!({}));
    }
    if !HOSTS.iter().any(|host| target == format!("CONNECT {host}:443")) {
        return answer(plain.get_mut(), 502, &json!({}));
    }
    answer(plain.get_mut(), 200, &Value::Null)?;
    let tls = ServerConnection::new(config).ok()?;
    let mut secure = BufReader::new(StreamOwned::new(tls, plain.into_inner()));
    loop {
        let (status, body) = told(&request(&mut secure)?, typed_in);
        answer(secure.get_mut(), status, &body)?;
    }
}

/// What Codex is told on its way.
fn told(target: &str, typed_in: &AtomicBool) -> (u16, Value) {
    match target {
        "POST /api/accounts/deviceauth/usercode" => {
            (200, json!({"device_auth_id": "device", "user_code": CODE, "interval": "1"}))
        }
        "POST /api/accounts/deviceauth/token" if typed_in.swap(false, Ordering::SeqCst) => {
            (200, json!({"authorization_code": "code", "code_verifier": "v", "code_challenge": "c"}))
        }
        "POST /api/accounts/deviceauth/token" => (403, json!({})),
        "POST /oauth/token" => {
            let login: Value = serde_json::from_str(&portcullis_lab::nobodys_login()).expect("it is JSON");
            (200, login["tokens"].clone())
        }
        "GET /backend-api/wham/accounts/check" => {
            let account = json!({
                "id": "nobody", "name": "nobody's", "structure": "personal", "plan_type": "plus",
                "workspace_backend_origin": "https://chatgpt.com", "account_routing_override": "us",
            });
            (
                200,
                json!({"accounts": [account], "account_ordering": ["nobody"], "default_account_id": "nobody"}),
            )
        }
        "GET /backend-api/wham/usage" => {
            let window = |used: u8, seconds: u32| {
                json!({"used_percent": used, "limit_window_seconds": seconds,
                "reset_after_seconds": 60, "reset_at": RESETS_AT})
            };
            let limit = json!({"allowed": true, "limit_reached": false,
                "primary_window": window(42, 18_000), "secondary_window": window(7, 604_800)});
            (200, json!({"plan_type": "plus", "rate_limit": limit}))
        }
        _ => (404, json!({})),
    }
}

/// The method and the target of the next request, whose body is read and forgotten.
fn request(from: &mut impl BufRead) -> Option<String> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        from.read_line(&mut line).ok().filter(|read| *read > 0)?;
        if line.trim().is_empty() {
            break;
        }
        lines.push(line.trim().to_owned());
    }
    let length = lines.iter().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length").then(|| value.parse::<u64>().ok())?
    });
    let mut body = Vec::new();
    from.take(length.unwrap_or(0)).read_to_end(&mut body).ok()?;
    lines.first()?.strip_suffix(" HTTP/1.1").map(str::to_owned)
}

/// `Null` is no body: what follows is another protocol.
fn answer(to: &mut impl Write, status: u16, body: &Value) -> Option<()> {
    let head = format!("HTTP/1.1 {status} Said\r\n");
    let rest = match body {
        Value::Null => "\r\n".to_owned(),
        body => {
            let body = body.to_string();
            format!("Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len())
        }
    };
    to.write_all((head + &rest).as_bytes()).and_then(|()| to.flush()).ok()
}
