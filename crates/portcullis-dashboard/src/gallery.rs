//! The pictures that are kept: the page, the pictures themselves, and what the operator may do with them.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use http::{HeaderValue, StatusCode, header};
use portcullis_agent::{PictureFormat, PrincipalId};
use portcullis_audit::{Entry, Fact, OPERATOR, Text};

use crate::guard::Form;
use crate::pages::{self, PicturesView, refusal};
use crate::routes::{Dashboard, Id};
use crate::session::Operator;

/// How many are on a page: each is shown as large as it is.
const ON_A_PAGE: usize = 24;
/// A picture is looked at, and nothing in it may do anything. The style is the browser's own, for a picture that fills a window.
const PICTURE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; sandbox";

/// The pictures that are kept.
#[derive(Debug)]
pub enum Gallery {
    /// None are.
    Closed {
        /// What is so.
        why: &'static str,
        /// What to do.
        hint: &'static str,
    },
    /// These.
    Open(Arc<dyn PictureShelf>),
}

/// Where pictures are kept. Everything here may wait for the disk.
pub trait PictureShelf: std::fmt::Debug + Send + Sync {
    /// `most` pictures after the newest `skip`: of one key, or of all.
    fn list(&self, of: Option<&PrincipalId>, skip: usize, most: usize) -> KeptPictures;
    /// A picture's file, if it is still there.
    fn read(&self, id: &str) -> Option<(PictureFormat, Vec<u8>)>;
    /// Removes a picture, and says whose it was, if it was still there.
    fn remove(&self, id: &str) -> Option<PrincipalId>;
}

/// Some of what is kept, and how much there is.
#[derive(Clone, Debug)]
pub struct KeptPictures {
    /// Whose pictures there are, and how many; who had the newest made is first.
    pub principals: Vec<(PrincipalId, usize)>,
    /// The pictures that were asked for, the newest first.
    pub pictures: Vec<KeptPicture>,
}

/// A picture that is kept. What it was made from is known to nobody here.
#[derive(Clone, Debug)]
pub struct KeptPicture {
    /// Its name in URLs.
    pub id: Arc<str>,
    /// Who had it made.
    pub principal: PrincipalId,
    /// What its file is.
    pub format: PictureFormat,
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// The file's length.
    pub bytes: u64,
    /// When it was made.
    pub made: SystemTime,
    /// How long it stays at the most.
    pub left: Duration,
}

/// Which part of the pictures a page shows.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Selection {
    /// Those of one key.
    pub(crate) of: Option<PrincipalId>,
    /// Those after the newest so many.
    pub(crate) skip: usize,
}

impl Selection {
    /// As the page's URL and the fields of its forms say it.
    fn new(key: &str, skip: &str) -> Self {
        let of = (!key.is_empty()).then(|| PrincipalId::from(key));
        Self { of, skip: skip.parse().unwrap_or(0) }
    }

    fn of_query(query: Option<&str>) -> Self {
        let pairs: Vec<_> = form_urlencoded::parse(query.unwrap_or_default().as_bytes()).collect();
        let get = |wanted: &str| pairs.iter().find(|(name, _)| name == wanted).map_or("", |(_, value)| value);
        Self::new(get("key"), get("skip"))
    }
}

type Given = State<Arc<Dashboard>>;

pub(crate) async fn page(operator: Operator, State(dashboard): Given, RawQuery(query): RawQuery) -> Response {
    show(&dashboard, &operator, Selection::of_query(query.as_deref()), None).await
}

async fn show(dashboard: &Dashboard, operator: &Operator, shown: Selection, said: Option<&str>) -> Response {
    let shelf = match &dashboard.parts.gallery {
        Gallery::Open(shelf) => shelf,
        Gallery::Closed { why, hint } => return pages::no_pictures(operator, why, hint).into_response(),
    };
    let of = shown.of.clone();
    let Some(kept) = on_disk(shelf, move |shelf| shelf.list(of.as_ref(), shown.skip, ON_A_PAGE)).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let view = PicturesView { kept, shown, most: ON_A_PAGE, said, now: SystemTime::now() };
    pages::pictures(operator, &view).into_response()
}

pub(crate) async fn file(_operator: Operator, State(dashboard): Given, Path(id): Id) -> Response {
    let read = match &dashboard.parts.gallery {
        Gallery::Open(shelf) => {
            let id = id.clone();
            on_disk(shelf, move |shelf| shelf.read(&id)).await.flatten()
        }
        Gallery::Closed { .. } => None,
    };
    let Some((format, bytes)) = read else {
        let why = "It was kept long enough, made room for others, or was deleted.";
        return refusal(StatusCode::NOT_FOUND, "This picture is gone", why);
    };
    let mut response = Response::new(Body::from(bytes));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(format.media_type()));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(PICTURE_POLICY));
    if let Ok(name) = HeaderValue::from_str(&format!("inline; filename=\"{id}.{}\"", format.word())) {
        headers.insert(header::CONTENT_DISPOSITION, name);
    }
    response
}

pub(crate) async fn delete(State(dashboard): Given, Path(id): Id, form: Form) -> Response {
    let shown = Selection::new(form.fields.get("key"), form.fields.get("skip"));
    let Gallery::Open(shelf) = &dashboard.parts.gallery else {
        return show(&dashboard, &form.operator, shown, None).await;
    };
    let removed = {
        let id = id.clone();
        on_disk(shelf, move |shelf| shelf.remove(&id)).await.flatten()
    };
    let Some(principal) = removed else {
        return show(&dashboard, &form.operator, shown, Some("That picture was gone already.")).await;
    };
    let fact = Fact::PictureDeleted { picture: Text::new(&id), of: Text::new(principal.as_str()) };
    let _written = dashboard.parts.audit.append(Entry::new(OPERATOR, fact)).await;
    Redirect::to(&pages::pictures_path(&shown)).into_response()
}

/// `None` where the gateway is stopping.
async fn on_disk<T: Send + 'static>(
    shelf: &Arc<dyn PictureShelf>,
    act: impl FnOnce(&dyn PictureShelf) -> T + Send + 'static,
) -> Option<T> {
    let shelf = Arc::clone(shelf);
    tokio::task::spawn_blocking(move || act(&*shelf)).await.ok()
}
