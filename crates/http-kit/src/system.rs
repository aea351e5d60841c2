//! The routes that every service has beside its own.

use std::collections::HashMap;

use daemon::metrics::Metrics;
use poem::{
    endpoint::BoxEndpoint,
    http::{HeaderMap, Method},
};
use poem_openapi::{
    ApiResponse, OpenApi, Tags,
    param::Header,
    registry::{MetaApi, Registry},
};

use super::{
    asset::Asset,
    docs::{self, ApiInfo, Documents},
    fail::{Fail, may},
    health::{Health, Readiness, ReadyReply},
    problem::Problem,
    query::WholeQuery,
    reply::{JsonReply, Page, media},
};

/// An API with the routes that every service has, as it is served.
pub(super) type Served<A> = WholeQuery<WithSystem<A>>;

/// An API with those routes. A path of its own, `/` say, stands in place of theirs.
pub(super) struct WithSystem<A>(pub(super) A, pub(super) SystemApi);

impl<A: OpenApi> OpenApi for WithSystem<A> {
    fn meta() -> Vec<MetaApi> {
        let (own, mut system) = (A::meta(), SystemApi::meta());
        let is_own = |path: &str| own.iter().flat_map(|api| &api.paths).any(|own| own.path == path);
        system.iter_mut().for_each(|api| api.paths.retain(|path| !is_own(&path.path)));
        own.into_iter().chain(system).collect()
    }

    fn register(registry: &mut Registry) {
        A::register(registry);
        SystemApi::register(registry);
    }

    fn add_routes(self, routes: &mut HashMap<String, HashMap<Method, BoxEndpoint<'static>>>) {
        self.1.add_routes(routes);
        self.0.add_routes(routes);
    }
}

/// The OpenAPI document of an API (with the routes that every service has) as pretty JSON. No server is needed for it, and
/// it is the same text every time.
pub fn openapi_json<A: OpenApi>(info: &ApiInfo) -> String {
    docs::document::<Served<A>>(info)
}

/// Documents, health and metrics.
pub struct SystemApi {
    documents: Documents,
    metrics: Metrics,
    readiness: Readiness,
}

impl SystemApi {
    /// From the API's documents, the process's metrics and the service's view of its servers.
    pub fn new(documents: Documents, metrics: Metrics, readiness: Readiness) -> Self {
        Self { documents, metrics, readiness }
    }
}

#[derive(Tags)]
enum Tag {
    /// What operators and machines ask.
    System,
}

#[OpenApi(tag = "Tag::System")]
impl SystemApi {
    /// The process lives
    #[oai(path = "/healthz", method = "get", operation_id = "health")]
    async fn health(&self) -> Result<JsonReply<Health>, Fail<{ may::NOTHING }>> {
        Ok(JsonReply::new(&Health { status: "ok".to_owned() })?)
    }

    /// Whether the service can do its job, and the state of each server
    #[oai(path = "/readyz", method = "get", operation_id = "readiness")]
    async fn readiness(&self) -> Result<ReadyReply, Fail<{ may::NOTHING }>> {
        Ok(ReadyReply::new(&self.readiness.report())?)
    }

    /// Metrics for Prometheus
    #[oai(path = "/metrics", method = "get", operation_id = "metrics")]
    async fn metrics(&self) -> Result<Page<media::OpenMetrics>, Fail<{ may::NOTHING }>> {
        Ok(Page::new(self.metrics.encode().map_err(Problem::internal)?))
    }

    /// This document
    #[oai(path = "/openapi.json", method = "get", operation_id = "openapi")]
    async fn openapi(
        &self,
        headers: &HeaderMap,
        #[oai(name = "If-None-Match")] if_none_match: Header<Option<String>>,
    ) -> Result<Asset<media::Json>, Fail<{ may::NOTHING }>> {
        Ok(Asset::new(self.documents.openapi_json().await?, headers, if_none_match.0.as_deref()))
    }

    /// This document as a page (Swagger UI)
    #[oai(path = "/docs", method = "get", operation_id = "docs")]
    async fn docs(
        &self,
        headers: &HeaderMap,
        #[oai(name = "If-None-Match")] if_none_match: Header<Option<String>>,
    ) -> Result<Asset<media::Html>, Fail<{ may::NOTHING }>> {
        Ok(Asset::new(self.documents.swagger_html().await?, headers, if_none_match.0.as_deref()))
    }

    /// Leads to the documentation
    #[oai(path = "/", method = "get", operation_id = "root")]
    async fn root(&self) -> Root {
        Root::Docs("/docs".to_owned())
    }
}

/// Where `/` leads.
#[derive(ApiResponse)]
enum Root {
    /// The documentation is at `Location`.
    #[oai(status = 307)]
    Docs(#[oai(header = "Location")] String),
}
