//! A dashboard with an agent that never says anything, and a browser without one.

use std::collections::BTreeMap;
use std::future::ready;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use camino_tempfile::{Utf8TempDir, tempdir};
use http::{Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use portcullis_agent::testing::{self, ByHand};
use portcullis_agent::{
    Agent, ApprovalPolicies, ApprovalPolicy, Approvals, PictureFormat, PrincipalId, Profile, TurnBoard,
    TurnOptions, TurnRequest, Watched, event_queue,
};
use portcullis_audit::{Audit, Limits};
use portcullis_dashboard::{
    Gallery, KeptPicture, KeptPictures, Parts, PictureShelf, SignIn, SignInState, issue_code, router,
};
use portcullis_store::Memory;
use secrecy::ExposeSecret as _;
use tower::ServiceExt as _;

/// What a client or a model may write anywhere.
pub(crate) const HOSTILE: &str = "<script>alert(1)</script>\"'&";

/// Its turns never say anything.
fn silent() -> ByHand {
    ByHand::new(|_request| ready(Ok(testing::turn(event_queue(0).1))))
}

#[derive(Default)]
pub(crate) struct Signs(pub(crate) Mutex<Vec<&'static str>>);

#[async_trait]
impl SignIn for Signs {
    fn state(&self) -> SignInState {
        SignInState::Waiting { url: "https://login.example/device".to_owned(), code: "ABCD-1234".to_owned() }
    }

    async fn begin(&self) {
        self.0.lock().unwrap().push("begin");
    }

    async fn cancel(&self) {
        self.0.lock().unwrap().push("cancel");
    }
}

/// Pictures in memory, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Wall(Mutex<Vec<(KeptPicture, Vec<u8>)>>);

impl Wall {
    /// Hangs one up, and returns its id.
    pub(crate) fn hang(&self, principal: &str, format: PictureFormat, bytes: &[u8]) -> String {
        let mut all = self.0.lock().unwrap();
        let id = format!("{:032x}", all.len());
        let picture = KeptPicture {
            id: id.as_str().into(),
            principal: principal.into(),
            format,
            width: 1024,
            height: 768,
            bytes: bytes.len() as u64,
            made: SystemTime::now() - Duration::from_mins(10),
            left: Duration::from_mins(50),
        };
        all.push((picture, bytes.to_vec()));
        id
    }
}

impl PictureShelf for Wall {
    fn list(&self, of: Option<&PrincipalId>, skip: usize, most: usize) -> KeptPictures {
        let all = self.0.lock().unwrap();
        let mut counts = BTreeMap::new();
        for (picture, _) in all.iter() {
            *counts.entry(picture.principal.clone()).or_insert(0) += 1;
        }
        let wanted = all.iter().rev().map(|(picture, _)| picture);
        let wanted = wanted.filter(|picture| of.is_none_or(|of| picture.principal == *of));
        KeptPictures {
            principals: counts.into_iter().collect(),
            pictures: wanted.skip(skip).take(most).cloned().collect(),
        }
    }

    fn read(&self, id: &str) -> Option<(PictureFormat, Vec<u8>)> {
        let all = self.0.lock().unwrap();
        let (picture, bytes) = all.iter().find(|(picture, _)| &*picture.id == id)?;
        Some((picture.format, bytes.clone()))
    }

    fn remove(&self, id: &str) -> Option<PrincipalId> {
        let mut all = self.0.lock().unwrap();
        let place = all.iter().position(|(picture, _)| &*picture.id == id)?;
        Some(all.remove(place).0.principal)
    }
}

pub(crate) struct Bench {
    router: Router,
    pub(crate) dir: Utf8TempDir,
    pub(crate) approvals: Approvals,
    pub(crate) turns: TurnBoard,
    pub(crate) agent: Arc<dyn Agent>,
    pub(crate) audit: Audit,
    pub(crate) signs: Arc<Signs>,
    pub(crate) ledger: Arc<Memory>,
    pub(crate) wall: Arc<Wall>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) location: Option<String>,
    pub(crate) cookie: Option<String>,
    pub(crate) body: String,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(|wall| Gallery::Open(wall))
    }

    pub(crate) fn with(gallery: impl FnOnce(Arc<Wall>) -> Gallery) -> Self {
        let dir = tempdir().unwrap();
        let audit_dir = dir.path().join("audit");
        let audit = Audit::start(&audit_dir, Limits::default()).unwrap();
        let policies = ApprovalPolicies { read: ApprovalPolicy::Ask, work: ApprovalPolicy::Ask };
        let approvals = Approvals::new(policies, 8, Duration::from_mins(5), Arc::new(audit.clone()));
        let turns = TurnBoard::default();
        let agent: Arc<dyn Agent> = Arc::new(Watched::new(silent(), turns.clone()));
        let signs = Arc::new(Signs::default());
        let ledger = Arc::new(Memory::new(1 << 20));
        let wall = Arc::new(Wall::default());
        let router = router(Parts {
            agent: Arc::clone(&agent),
            painter: None,
            turns: turns.clone(),
            ledger: Arc::clone(&ledger) as _,
            approvals: approvals.clone(),
            audit: audit.clone(),
            audit_dir: Some(audit_dir),
            state_dir: dir.path().to_owned(),
            sign_in: Arc::clone(&signs) as _,
            weakenings: Vec::new(),
            confinement: Vec::new(),
            about: Vec::new(),
            draws: false,
            gallery: gallery(Arc::clone(&wall)),
        });
        Self { router: router.unwrap(), dir, approvals, turns, agent, audit, signs, ledger, wall }
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Response<Body> {
        self.router.clone().oneshot(request).await.unwrap()
    }

    pub(crate) async fn ask(&self, request: Request<Body>) -> Answer {
        let response = self.send(request).await;
        let text = |name| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let (status, location, cookie) =
            (response.status(), text(header::LOCATION), text(header::SET_COOKIE));
        let body = response.into_body().collect().await.unwrap().to_bytes();
        Answer { status, location, cookie, body: String::from_utf8(body.into()).unwrap() }
    }

    pub(crate) async fn get(&self, path: &str, cookie: &str) -> Answer {
        self.ask(Request::get(path).header("cookie", cookie).body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn post(&self, path: &str, cookie: &str, fields: &[(&str, &str)]) -> Answer {
        self.ask(form(path, cookie, fields)).await
    }

    /// A session's cookie, and the token of its forms.
    pub(crate) async fn sign_in(&self) -> (String, String) {
        let (code, _) = issue_code(self.dir.path()).unwrap();
        let answer = self.post("/dashboard/sign-in", "", &[("code", code.expose_secret())]).await;
        assert_eq!((answer.status, answer.location.as_deref()), (StatusCode::SEE_OTHER, Some("/dashboard")));
        let cookie = answer.cookie.unwrap();
        assert!(cookie.ends_with("; Path=/dashboard; HttpOnly; SameSite=Strict; Max-Age=43200"), "{cookie}");
        let cookie = cookie.split(';').next().unwrap().to_owned();
        let page = self.get("/dashboard", &cookie).await.body;
        let token =
            page.split("name=\"form\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        (cookie, token)
    }

    pub(crate) fn facts(&self) -> Vec<String> {
        let mut facts = Vec::new();
        portcullis_audit::read(&self.dir.path().join("audit"), |line, _| facts.push(line.event)).unwrap();
        facts
    }

    /// The lines of the audit log of a kind, each with who and with what it says.
    pub(crate) fn lines(&self, event: &str) -> Vec<String> {
        let mut lines = Vec::new();
        portcullis_audit::read(&self.dir.path().join("audit"), |mut line, _| {
            line.fields.remove("prev");
            if line.event == event {
                let fields: BTreeMap<_, _> = line.fields.into_iter().collect();
                lines.push(format!("{} {}", line.who, serde_json::to_string(&fields).unwrap()));
            }
        })
        .unwrap();
        lines
    }
}

pub(crate) fn form(path: &str, cookie: &str, fields: &[(&str, &str)]) -> Request<Body> {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let request = Request::post(path).header("cookie", cookie).header("host", "gateway:1");
    request.header("content-type", "application/x-www-form-urlencoded").body(Body::from(body)).unwrap()
}

pub(crate) fn turn_request() -> TurnRequest {
    let options = TurnOptions::new(HOSTILE.into(), Duration::from_secs(1));
    TurnRequest::new("req_1".into(), HOSTILE.into(), Profile::Chat, options)
}
