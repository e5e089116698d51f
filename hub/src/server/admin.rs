//! The admin port: liveness, readiness, metrics. For kubelets and Prometheus, not for the public.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::observability::Metrics;
use crate::reactor::Reactors;

/// What the admin port tells of.
#[derive(Clone)]
pub struct Admin {
    /// Those that have to be alive.
    pub reactors: Arc<Reactors>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Whether the hub hears other replicas, or has waited for that for long enough.
    pub backplane_ready: Arc<AtomicBool>,
    /// Whether new clients are welcome.
    pub ready: Arc<AtomicBool>,
}

/// The routes of the admin port.
pub fn router(admin: Admin) -> Router {
    Router::new()
        .route("/healthz", get(healthy))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(admin)
}

async fn healthy(State(admin): State<Admin>) -> (StatusCode, &'static str) {
    if admin.reactors.alive() {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "a reactor does not turn\n")
    }
}

async fn ready(State(admin): State<Admin>) -> (StatusCode, &'static str) {
    if !admin.ready.load(Ordering::Relaxed) {
        (StatusCode::SERVICE_UNAVAILABLE, "shutting down\n")
    } else if !admin.backplane_ready.load(Ordering::Relaxed) {
        (StatusCode::SERVICE_UNAVAILABLE, "waiting for Redis\n")
    } else {
        healthy(State(admin)).await
    }
}

async fn metrics(State(admin): State<Admin>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], admin.metrics.text()).into_response()
}
