//! The one place that chooses a status, and the only shape in which a failure reaches a client.

use std::borrow::Cow;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use portcullis_access::{Exceeded, Scope};
use portcullis_agent::{AgentError, ErrorKind, Profile, RequestFault};
use portcullis_openai::chat::Failure;
use portcullis_openai::{InvalidRequest, error_body};
use portcullis_store::StoreError;
use serde_json::Value;

/// What a client may read of a failure. It is made from sentences of ours and from faults in the client's own
/// request; there is no way from an internal error's text to here.
#[derive(Clone, Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    kind: Cow<'static, str>,
    code: Option<Cow<'static, str>>,
    message: Cow<'static, str>,
    param: Option<String>,
    retry_after: Option<Duration>,
    /// The same request again would fail again, and cost again.
    permanent: bool,
}

/// Between these a client is asked to come back: not at once, and not so late that it gives up.
const SOON: Duration = Duration::from_secs(1);
const LATE: Duration = Duration::from_mins(5);

const INVALID: &str = "invalid_request_error";
/// Both official SDKs read it and then do not repeat the request by themselves.
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

impl ApiError {
    fn new(status: StatusCode, kind: &'static str, code: &'static str, message: &'static str) -> Self {
        Self {
            status,
            kind: kind.into(),
            code: Some(code.into()),
            message: message.into(),
            param: None,
            retry_after: None,
            permanent: false,
        }
    }

    fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    pub(crate) fn permanent(mut self) -> Self {
        self.permanent = true;
        self
    }

    pub(crate) fn unauthenticated() -> Self {
        // Some clients know a wrong key by these first words of OpenAI's.
        let message = "Incorrect API key provided, or none. Send it as 'Authorization: Bearer KEY'.";
        Self::new(StatusCode::UNAUTHORIZED, INVALID, "invalid_api_key", message)
    }

    pub(crate) fn expired_key() -> Self {
        let message = "Incorrect API key provided: it has expired. Its operator can make another one.";
        Self::new(StatusCode::UNAUTHORIZED, INVALID, "expired_api_key", message)
    }

    pub(crate) fn scope_not_granted(scope: Scope) -> Self {
        Self {
            message: format!("This API key does not have the scope '{scope}'.").into(),
            ..Self::new(StatusCode::FORBIDDEN, INVALID, "scope_not_granted", "")
        }
    }

    pub(crate) fn model_not_allowed(name: &str) -> Self {
        let shown: String = name.chars().take(200).collect();
        Self {
            message: format!(
                "This API key may not use the model '{shown}'. GET /v1/models lists those it may use."
            )
            .into(),
            param: Some("model".to_owned()),
            ..Self::new(StatusCode::FORBIDDEN, INVALID, "model_not_allowed", "")
        }
    }

    pub(crate) fn profile_not_allowed(wanted: Profile, allowed: Profile) -> Self {
        Self {
            message: format!(
                "The profile '{wanted}' is wider than what is allowed here, which is '{allowed}'."
            )
            .into(),
            ..Self::new(StatusCode::FORBIDDEN, INVALID, "profile_not_allowed", "")
        }
    }

    pub(crate) fn unknown_profile() -> Self {
        let message = "The header 'x-portcullis-profile' is 'chat', 'read' or 'work'.";
        Self::new(StatusCode::BAD_REQUEST, INVALID, "unknown_profile", message)
    }

    pub(crate) fn rate_exceeded(exceeded: Exceeded) -> Self {
        let Exceeded { what, limit, retry_after } = exceeded;
        Self {
            message: format!("Rate limit reached for this API key: {limit} {what} per minute.").into(),
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, what, "rate_limit_exceeded", "")
        }
        .retry_after(retry_after.max(SOON))
    }

    pub(crate) fn not_our_host() -> Self {
        let message = "This gateway is not asked under that name. Its operator lists names in 'http.hosts'.";
        Self::new(StatusCode::MISDIRECTED_REQUEST, INVALID, "unknown_host", message)
    }

    pub(crate) fn key_in_url() -> Self {
        let message = "An API key must not stand in a URL, which is written into logs. Send it as \
                       'Authorization: Bearer KEY', and rotate this one.";
        Self::new(StatusCode::BAD_REQUEST, INVALID, "key_in_url", message)
    }

    pub(crate) fn head_too_large() -> Self {
        let message = "The head of the request is larger than 64 KiB.";
        Self::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, INVALID, "head_too_large", message)
    }

    pub(crate) fn encoded_body() -> Self {
        let message = "The request body must not be compressed.";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, INVALID, "unsupported_content_encoding", message)
    }

    pub(crate) fn body_too_large(limit: usize) -> Self {
        Self {
            message: format!("The request body is larger than {limit} bytes.").into(),
            ..Self::new(StatusCode::PAYLOAD_TOO_LARGE, INVALID, "request_too_large", "")
        }
    }

    pub(crate) fn not_json_type() -> Self {
        let message = "The request body must have the content type 'application/json'.";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, INVALID, "unsupported_content_type", message)
    }

    /// `what` is the parser's own sentence: a kind of fault and its place, never the body's text.
    pub(crate) fn not_json(what: &serde_json::Error) -> Self {
        let message = format!("We could not parse the JSON body of your request: {what}.");
        Self { message: message.into(), ..Self::new(StatusCode::BAD_REQUEST, INVALID, "invalid_json", "") }
    }

    pub(crate) fn body_broke_off() -> Self {
        Self::new(StatusCode::BAD_REQUEST, INVALID, "incomplete_body", "The request body broke off.")
    }

    pub(crate) fn body_too_slow() -> Self {
        let message = "The request body took too long to arrive.";
        Self::new(StatusCode::REQUEST_TIMEOUT, INVALID, "slow_body", message)
    }

    pub(crate) fn unknown_model(name: &str) -> Self {
        let shown: String = name.chars().take(200).collect();
        Self {
            message: format!("The model '{shown}' does not exist. GET /v1/models lists the models.").into(),
            param: Some("model".to_owned()),
            ..Self::new(StatusCode::NOT_FOUND, INVALID, "model_not_found", "")
        }
    }

    pub(crate) fn no_previous(id: &str) -> Self {
        let shown: String = id.chars().take(200).collect();
        Self {
            message: format!("Previous response with id '{shown}' not found.").into(),
            param: Some("previous_response_id".to_owned()),
            ..Self::new(StatusCode::BAD_REQUEST, INVALID, "previous_response_not_found", "")
        }
    }

    pub(crate) fn not_found(what: &str, id: &str) -> Self {
        let shown: String = id.chars().take(200).collect();
        Self {
            message: format!("{what} with id '{shown}' not found.").into(),
            ..Self::new(StatusCode::NOT_FOUND, INVALID, "not_found", "")
        }
    }

    pub(crate) fn bad_idempotency_key() -> Self {
        let message = "The header 'Idempotency-Key' is 1 to 255 visible characters.";
        Self::new(StatusCode::BAD_REQUEST, INVALID, "invalid_idempotency_key", message)
    }

    pub(crate) fn idempotency_key_reused() -> Self {
        let message = "This 'Idempotency-Key' belongs to another request. Use a new one for each.";
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, INVALID, "idempotency_key_reused", message).permanent()
    }

    pub(crate) fn answer_not_kept() -> Self {
        let message = "This request was answered, and the answer was too large to be kept.";
        Self::new(StatusCode::CONFLICT, INVALID, "answer_not_kept", message).permanent()
    }

    pub(crate) fn too_many_idempotency_keys() -> Self {
        let message = "As many requests with an 'Idempotency-Key' run as may.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "server_error", "too_many_idempotency_keys", message)
            .retry_after(SOON)
    }

    pub(crate) fn bad_query() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            INVALID,
            "invalid_query",
            "The query of the URL is not well-formed.",
        )
    }

    pub(crate) fn unknown_url() -> Self {
        Self::new(StatusCode::NOT_FOUND, INVALID, "unknown_url", "Unknown request URL.")
    }

    pub(crate) fn wrong_method() -> Self {
        let message = "This URL does not know that method.";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, INVALID, "method_not_allowed", message)
    }

    pub(crate) fn no_pictures_here() -> Self {
        let message =
            "This gateway makes no pictures: its operator has not chosen who would ([images] backend).";
        Self::new(StatusCode::NOT_FOUND, INVALID, "images_not_available", message).permanent()
    }

    pub(crate) fn no_variations() -> Self {
        let message =
            "No model makes variations any more. POST /v1/images/edits makes a picture from a picture.";
        Self::new(StatusCode::BAD_REQUEST, INVALID, "unsupported_endpoint", message).permanent()
    }

    /// Something came that is no picture, or nothing.
    pub(crate) fn no_picture(what: &str) -> Self {
        let what = what.to_owned();
        Self {
            message: what.into(),
            ..Self::new(StatusCode::BAD_GATEWAY, "server_error", "no_image_generated", "")
        }
        .permanent()
    }

    pub(crate) fn size_not_honoured(width: u32, height: u32) -> Self {
        let message = format!(
            "A picture of {width}x{height} came instead of the size that was asked for, and is not delivered."
        );
        Self {
            message: message.into(),
            param: Some("size".to_owned()),
            ..Self::new(StatusCode::BAD_GATEWAY, "server_error", "size_not_honored", "")
        }
        .permanent()
    }

    pub(crate) fn not_kept() -> Self {
        let message = "The picture could not be kept. Ask for 'b64_json', or try again later.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "server_error", "not_kept", message).permanent()
    }

    pub(crate) fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    pub(crate) fn with_code(self, code: &'static str) -> Self {
        Self { code: Some(code.into()), ..self }
    }

    pub(crate) fn shutting_down() -> Self {
        let message = "The gateway is shutting down.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "server_error", "shutting_down", message)
            .retry_after(Duration::from_secs(5))
    }

    pub(crate) fn unaudited() -> Self {
        let message =
            "The gateway can not keep its audit log, and allows nothing that it could not account for.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "server_error", "unaudited", message)
            .retry_after(Duration::from_secs(30))
    }

    pub(crate) fn internal() -> Self {
        let message = "The gateway failed. Please report the request id.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", "internal_error", message)
    }

    /// The code of a response that failed: OpenAI has a closed list there, which its SDKs check.
    pub(crate) fn response_code(&self) -> &'static str {
        match self.status {
            StatusCode::TOO_MANY_REQUESTS => "rate_limit_exceeded",
            StatusCode::BAD_REQUEST => "invalid_prompt",
            _ => "server_error",
        }
    }

    /// The sentence, for people.
    pub(crate) fn sentence(&self) -> &str {
        &self.message
    }

    /// The body, for an answer or for an error event in a stream.
    pub(crate) fn body(&self) -> Value {
        error_body(&self.message, &self.kind, self.param.as_deref(), self.code.as_deref())
    }
}

impl From<InvalidRequest> for ApiError {
    fn from(fault: InvalidRequest) -> Self {
        Self {
            message: fault.message.into(),
            param: fault.param,
            code: fault.code.map(Cow::Borrowed),
            ..Self::new(StatusCode::BAD_REQUEST, INVALID, "", "")
        }
    }
}

impl From<AgentError> for ApiError {
    fn from(error: AgentError) -> Self {
        use StatusCode as S;
        match error.kind {
            ErrorKind::InvalidInput(RequestFault { message, param, code, class }) => Self {
                kind: class.map_or(INVALID.into(), Cow::Owned),
                message: message
                    .map_or("The model's provider refused the request as invalid.".into(), Cow::Owned),
                param,
                code: code.map(Cow::Owned),
                ..Self::new(S::BAD_REQUEST, INVALID, "", "")
            },
            ErrorKind::ContextTooLong => {
                let message = "The conversation is longer than the model's context window.";
                Self {
                    param: Some("messages".to_owned()),
                    ..Self::new(S::BAD_REQUEST, INVALID, "context_length_exceeded", message)
                }
            }
            ErrorKind::ModelUnknown => {
                let message = "The model does not exist, or the operator's login has no access to it.";
                Self {
                    param: Some("model".to_owned()),
                    ..Self::new(S::NOT_FOUND, INVALID, "model_not_found", message)
                }
            }
            ErrorKind::NoPicture { said } => {
                let message = match said {
                    Some(words) => format!("The model made no picture. It said: {words}"),
                    None => "The model made no picture, and said nothing.".to_owned(),
                };
                Self {
                    message: message.into(),
                    ..Self::new(S::BAD_GATEWAY, "server_error", "no_image_generated", "")
                }
                .permanent()
            }
            ErrorKind::Refused => {
                let message = "The model's provider refused the request for policy reasons.";
                Self::new(S::BAD_REQUEST, INVALID, "content_policy_violation", message)
            }
            ErrorKind::Busy { retry_after } => {
                let message = "As many turns run and wait as may.";
                Self::new(S::TOO_MANY_REQUESTS, "rate_limit_error", "rate_limit_exceeded", message)
                    .retry_after(retry_after.unwrap_or(Duration::from_secs(1)).clamp(SOON, LATE))
            }
            ErrorKind::RateLimited { retry_after } => {
                let message = "The model's provider is limiting the rate of requests.";
                let error =
                    Self::new(S::TOO_MANY_REQUESTS, "rate_limit_error", "rate_limit_exceeded", message);
                Self { retry_after, ..error }
            }
            ErrorKind::UsageLimit => {
                let message = "The usage limit of the operator's plan is reached.";
                Self::new(S::TOO_MANY_REQUESTS, "insufficient_quota", "insufficient_quota", message)
                    .permanent()
            }
            ErrorKind::LoginRequired => {
                let message =
                    "The gateway is not signed in to its model provider; its operator has to sign in.";
                Self::new(S::SERVICE_UNAVAILABLE, "server_error", "login_required", message).permanent()
            }
            ErrorKind::WorkerLost => {
                let message = "The worker that would answer is gone; another one is being started.";
                Self::new(S::SERVICE_UNAVAILABLE, "server_error", "worker_lost", message)
                    .retry_after(Duration::from_secs(1))
            }
            // A chat client sees it as the finish reason `length`; elsewhere it is the provider's failure.
            ErrorKind::Upstream | ErrorKind::OutputLimit => {
                let message = "The model's provider failed, or its answer broke off.";
                Self::new(S::BAD_GATEWAY, "server_error", "upstream_error", message)
            }
            ErrorKind::ProviderDown { retry_after } => {
                let message = "The model's provider failed turn after turn, and is not asked for a while.";
                Self::new(S::SERVICE_UNAVAILABLE, "server_error", "provider_down", message)
                    .retry_after(retry_after.clamp(SOON, LATE))
            }
            ErrorKind::Timeout => {
                let message = "The turn took longer than the gateway's deadline.";
                Self::new(S::GATEWAY_TIMEOUT, "server_error", "timeout", message).permanent()
            }
            ErrorKind::SlowReader => {
                let message = "The client read too slowly.";
                Self::new(S::REQUEST_TIMEOUT, INVALID, "slow_reader", message).permanent()
            }
            ErrorKind::Unaudited => Self::unaudited(),
            ErrorKind::OverBudget { what } => Self {
                message: format!("The turn used more {what} than the gateway allows, and was ended.").into(),
                ..Self::new(S::BAD_REQUEST, INVALID, "over_budget", "")
            }
            .permanent(),
            ErrorKind::NoHands => {
                let message = "The gateway can not run commands for this turn's profile.";
                Self::new(S::SERVICE_UNAVAILABLE, "server_error", "no_hands", message).permanent()
            }
            ErrorKind::Internal => Self::internal(),
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        let invalid = |code, message| Self::new(StatusCode::BAD_REQUEST, INVALID, code, message);
        match error {
            StoreError::UnknownCursor => {
                invalid("invalid_cursor", "The list has no item with the id in 'after'.")
            }
            StoreError::TooLong => {
                invalid("context_length_exceeded", "The kept conversation is too long to go on.")
            }
            StoreError::TooManySums => invalid(
                "too_many_rows",
                "The answer would have more than 10,000 rows. Ask for fewer days, or group them.",
            ),
            StoreError::BrokenChain { id } => Self {
                message: format!("The earlier response '{id}' is gone, so the conversation can not go on.")
                    .into(),
                param: Some("previous_response_id".to_owned()),
                ..invalid("previous_response_not_found", "")
            },
            StoreError::Taken { id } => {
                Self { message: format!("The id '{id}' is taken.").into(), ..invalid("duplicate_id", "") }
            }
            StoreError::Unstorable { what } => Self {
                message: format!("This can not be kept: {what}.").into(),
                ..invalid("not_storable", "")
            },
            StoreError::Full | StoreError::Unavailable { .. } | StoreError::Corrupt { .. } => {
                tracing::error!(error = %error, "The store failed");
                let message = "The gateway can not keep anything at the moment.";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "server_error", "store_unavailable", message)
                    .retry_after(Duration::from_secs(5))
            }
        }
    }
}

impl From<Failure> for ApiError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Agent(error) => error.into(),
            Failure::NotHonoured { code, message } => {
                Self::new(StatusCode::BAD_GATEWAY, "server_error", code, message).permanent()
            }
            Failure::Interrupted => {
                let message = "The turn was interrupted.";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "server_error", "turn_interrupted", message)
            }
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, axum::Json(self.body())).into_response();
        let headers = response.headers_mut();
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(wait) = self.retry_after {
            // Whole seconds, rounded up: zero would mean "at once".
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.permanent {
            headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
        }
        // For routes that say the same in another contract's words.
        response.extensions_mut().insert(self);
        response
    }
}
