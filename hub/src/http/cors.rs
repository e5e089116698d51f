//! CORS: which origins may read responses (`signalr.md` 7.4). WebSockets accept every origin.

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

/// The allowed origins, compared byte by byte.
#[derive(Debug, Clone)]
pub struct Cors {
    origins: Arc<[String]>,
}

impl Cors {
    /// Creates the policy that allows some origins.
    pub fn new(origins: &[String]) -> Cors {
        Cors { origins: origins.into() }
    }

    /// Returns the CORS headers of a response to an origin. Empty if there is no origin or it is not allowed.
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

    /// Returns the origin of a request, or `None` if there is none or it is not allowed.
    fn allowed_origin(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let origin = headers.get(ORIGIN)?;
        self.origins.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes()).then(|| origin.clone())
    }
}

/// Returns the method and the headers that a preflight request asks for, or `None` if the request is not a preflight.
fn preflight(request: &Request) -> Option<(HeaderValue, Option<HeaderValue>)> {
    let header = |name: HeaderName| request.headers().get(name).cloned();
    let method = header(ACCESS_CONTROL_REQUEST_METHOD).filter(|_| request.method() == Method::OPTIONS)?;
    Some((method, header(ACCESS_CONTROL_REQUEST_HEADERS)))
}

/// Middleware that answers preflight requests, and adds the CORS headers to other responses.
pub async fn apply(State(cors): State<Cors>, request: Request, next: Next) -> Response {
    let origin = cors.allowed_origin(request.headers());
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
