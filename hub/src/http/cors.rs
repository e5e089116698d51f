//! Which pages of other origins may read what is answered (`signalr.md` 7.4). WebSockets are open to every origin.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, HeaderName, ORIGIN,
    VARY,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// The allowed origins, compared to the letter.
#[derive(Debug, Clone)]
pub struct Cors {
    origins: Arc<[String]>,
}

impl Cors {
    /// Allows these origins.
    pub fn new(origins: &[String]) -> Cors {
        Cors { origins: origins.into() }
    }

    /// The headers that an answer to this origin carries: none if it is not allowed.
    pub fn headers(&self, origin: Option<&str>) -> Vec<(&'static str, String)> {
        match origin.filter(|origin| self.origins.iter().any(|allowed| allowed == origin)) {
            Some(origin) => vec![
                ("access-control-allow-origin", origin.to_owned()),
                ("access-control-allow-credentials", "true".to_owned()),
                ("vary", "Origin".to_owned()),
            ],
            None => Vec::new(),
        }
    }

    /// The origin of a request, if it is allowed.
    fn allowed(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let origin = headers.get(ORIGIN)?;
        self.origins.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes()).then(|| origin.clone())
    }
}

/// What a browser asks before it sends a request: its method, and the headers that it will have.
fn preflight(request: &Request) -> Option<(HeaderValue, Option<HeaderValue>)> {
    let asked = |name: HeaderName| request.headers().get(name).cloned();
    let method = asked(ACCESS_CONTROL_REQUEST_METHOD).filter(|_| request.method() == Method::OPTIONS)?;
    Some((method, asked(ACCESS_CONTROL_REQUEST_HEADERS)))
}

/// Answers questions about other origins, and tells browsers who may read the other answers.
pub async fn answer(State(cors): State<Cors>, request: Request, next: Next) -> Response {
    let origin = cors.allowed(request.headers());
    let mut response = match preflight(&request) {
        Some((method, headers)) => {
            let mut response = StatusCode::NO_CONTENT.into_response();
            if origin.is_some() {
                response.headers_mut().insert(ACCESS_CONTROL_ALLOW_METHODS, method);
                headers.map(|headers| response.headers_mut().insert(ACCESS_CONTROL_ALLOW_HEADERS, headers));
            }
            response
        }
        None => next.run(request).await,
    };
    if let Some(origin) = origin {
        let headers = response.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        headers.insert(VARY, HeaderValue::from_static("Origin"));
    }
    response
}
