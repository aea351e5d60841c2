//! The OpenAPI document, and the pages that show it.

use std::{collections::HashMap, marker::PhantomData};

use poem::{endpoint::BoxEndpoint, http::Method};
use poem_openapi::{
    ExtraHeader, LicenseObject, OpenApi, OpenApiService,
    registry::{MetaApi, Registry},
};

use super::system::SystemApi;

/// What a document says of the API as a whole.
#[derive(Debug, Clone)]
pub struct ApiInfo {
    /// For instance `Order service`.
    pub title: String,
    /// The version of the program.
    pub version: String,
    /// In Markdown.
    pub description: String,
    /// The name of the licence and its SPDX identifier are the same: `MIT`.
    pub license: String,
}

/// The OpenAPI document of an API (with the routes that every role has) as pretty JSON. No server is needed for it, and
/// it is the same text every time.
pub fn openapi_json<A: OpenApi>(info: &ApiInfo) -> String {
    service(Described::<(A, SystemApi)>(PhantomData), info).spec()
}

/// What is served of an API's documentation.
pub struct Documents {
    /// The OpenAPI document.
    pub openapi_json: String,
    /// Swagger UI with its assets and the document inside the page: it fetches nothing from anywhere.
    pub swagger_html: String,
}

impl Documents {
    /// Of an API, with the routes that every role has.
    pub fn of<A: OpenApi>(info: &ApiInfo) -> Self {
        let service = service(Described::<(A, SystemApi)>(PhantomData), info);
        Self { openapi_json: service.spec(), swagger_html: service.swagger_ui_html() }
    }
}

/// The service of an API as its document describes it.
pub(super) fn service<A: OpenApi>(api: A, info: &ApiInfo) -> OpenApiService<A, ()> {
    let request_id = "The id under which the logs of all services know the request: the client's own `X-Request-Id` \
                      where that is 1 to 128 characters of `A–Z a–z 0–9 . _ -`, else a new one.";
    OpenApiService::new(api, &info.title, &info.version)
        .description(&info.description)
        .license(LicenseObject::new(&info.license))
        .extra_response_header::<String, _>(ExtraHeader::new("X-Request-Id").description(request_id))
}

/// The description of an API without the API: it has no routes.
struct Described<A>(PhantomData<A>);

impl<A: OpenApi> OpenApi for Described<A> {
    fn meta() -> Vec<MetaApi> {
        A::meta()
    }

    fn register(registry: &mut Registry) {
        A::register(registry);
    }

    fn add_routes(self, _routes: &mut HashMap<String, HashMap<Method, BoxEndpoint<'static>>>) {}
}
