//! The admin port: liveness, readiness and metrics, for kubelets and Prometheus. It must not be public.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::observability::Metrics;
use crate::reactor::Reactors;

/// The state that the admin port reports.
#[derive(Clone)]
pub struct Admin {
    /// The reactors, which liveness checks.
    pub reactors: Arc<Reactors>,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// Whether the backplane was ready once, or its start timed out.
    pub backplane_ready: Arc<AtomicBool>,
    /// Whether the hub is not shutting down.
    pub ready: Arc<AtomicBool>,
}

/// Returns the routes of the admin port.
pub fn router(admin: Admin) -> Router {
    Router::new()
        .route("/healthz", get(healthy))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(admin)
}

/// Answers 200 unless a reactor is stalled.
async fn healthy(State(admin): State<Admin>) -> (StatusCode, &'static str) {
    if admin.reactors.alive() {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "a reactor is stalled\n")
    }
}

/// Answers 200 if the hub is healthy and serves clients.
async fn ready(State(admin): State<Admin>) -> (StatusCode, &'static str) {
    if !admin.ready.load(Ordering::Relaxed) {
        (StatusCode::SERVICE_UNAVAILABLE, "shutting down\n")
    } else if !admin.backplane_ready.load(Ordering::Relaxed) {
        (StatusCode::SERVICE_UNAVAILABLE, "waiting for Redis\n")
    } else {
        healthy(State(admin)).await
    }
}

/// Returns the metrics in the text format of Prometheus.
async fn metrics(State(admin): State<Admin>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], admin.metrics.text()).into_response()
}
