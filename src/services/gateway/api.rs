//! `/api`: the calls of both services that pages need.

use http_kit::docs::ApiInfo;
use poem_openapi::OpenApi;

use super::upstream::Upstream;
use crate::http::PROBLEM_TYPES;

/// What the document says about the service.
pub fn info() -> ApiInfo {
    ApiInfo {
        title: "Web gateway".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        description: "The pages for customers and staff, and below `/api` the calls of the order service and the tracking service \
                      that the pages need."
            .to_owned(),
        license: "MIT".to_owned(),
        problem_types: PROBLEM_TYPES,
    }
}

/// Passes calls on.
#[derive(Debug, Clone)]
pub struct ApiProxy {
    upstream: Upstream,
}

impl ApiProxy {
    pub(super) fn new(upstream: Upstream) -> Self {
        Self { upstream }
    }
}

#[OpenApi]
impl ApiProxy {}
