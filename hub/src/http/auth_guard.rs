//! Authenticates requests that axum serves, on the tokio worker.

use std::sync::Arc;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;

use super::error_response::ErrorResponse;
use crate::auth::{Authenticator, Claims, Policy, Query, Rejection, bearer};
use crate::observability::Metrics;

/// Authenticates requests that axum serves, and counts failures.
#[derive(Clone)]
pub struct AuthGuard {
    /// Verifies tokens.
    pub authenticator: Arc<Authenticator>,
    /// The metrics.
    pub metrics: Arc<Metrics>,
}

impl AuthGuard {
    /// Verifies a request's token and returns its claims.
    ///
    /// # Errors
    /// Returns the response to a request whose token is missing or rejected.
    pub async fn claims(
        &self,
        headers: &HeaderMap,
        query: &Query<'_>,
        policy: Policy,
    ) -> Result<Arc<Claims>, ErrorResponse> {
        let authorization = headers.get(AUTHORIZATION).map(|value| value.as_bytes());
        let claims = match bearer::find_token(authorization, query) {
            Some(token) => self.authenticator.authenticate(&token, policy).await,
            None => Err(Rejection::Missing),
        };
        claims.map_err(|rejection| {
            self.metrics.auth_failures.inc(rejection.label());
            ErrorResponse::unauthorized(rejection)
        })
    }
}
