//! The OpenAPI document, and the pages that show it.

use std::{collections::HashMap, marker::PhantomData, sync::Arc};

use poem::{endpoint::BoxEndpoint, http::Method};
use poem_openapi::{
    ExtraHeader, LicenseObject, OpenApi, OpenApiService,
    registry::{MetaApi, MetaSchema, MetaSchemaRef, Registry},
};

use super::{
    asset::{Compressed, OnDemand},
    problem::Problem,
};

/// What a document says of the API as a whole.
#[derive(Debug, Clone)]
pub struct ApiInfo {
    /// For instance `Thing service`.
    pub title: String,
    /// The version of the program.
    pub version: String,
    /// In Markdown.
    pub description: String,
    /// The name of the licence and its SPDX identifier are the same: `MIT`.
    pub license: String,
    /// What the `type` of every problem begins with, a URN such as `urn:example:problem:`; the slug of its
    /// [`Kind`](super::problem::Kind) follows. Both are for programs to compare, and nothing to fetch.
    pub problem_types: &'static str,
}

/// The OpenAPI document of what is served, as pretty JSON.
pub(super) fn document<S: OpenApi>(info: &ApiInfo) -> String {
    completed(&service(Described::<S>(PhantomData), info).spec(), info)
}

/// What is served of an API's documentation. The page is 1.6 MB, the tenth part of an idle service's memory: it is made when
/// somebody asks for it first, and kept as a quarter of that.
pub struct Documents {
    openapi_json: OnDemand<ApiInfo>,
    swagger_html: OnDemand<ApiInfo>,
}

impl Documents {
    /// Of what is served: an API with the routes that every service has.
    pub fn of<S: OpenApi + 'static>(info: &ApiInfo) -> Self {
        let info = Arc::new(info.clone());
        let swagger_html =
            |info: &ApiInfo| completed(&service(Described::<S>(PhantomData), info).swagger_ui_html(), info);
        Self {
            openapi_json: OnDemand::new(&info, document::<S>),
            swagger_html: OnDemand::page(&info, swagger_html),
        }
    }

    /// The OpenAPI document.
    ///
    /// # Errors
    /// 500 where it cannot be made.
    pub async fn openapi_json(&self) -> Result<Compressed, Problem> {
        self.openapi_json.get().await
    }

    /// Swagger UI with its assets and the document inside the page: it fetches nothing from anywhere.
    ///
    /// # Errors
    /// 500 where it cannot be made.
    pub async fn swagger_html(&self) -> Result<Compressed, Problem> {
        self.swagger_html.get().await
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

/// The title of the schema that stands for "nothing more", until [`completed`] writes it as what it means.
const NOTHING_MORE: &str = "nothing-more";

/// Declares that the objects of a schema have no other members than those that are named: our requests are read like
/// that, and poem-openapi has no way to say so.
pub(super) fn close(registry: &mut Registry, schema: &MetaSchemaRef) {
    let inner = match schema {
        MetaSchemaRef::Reference(name) => {
            let Some(schema) = registry.schemas.get_mut(name) else { return };
            if schema.ty == "object" {
                if schema.additional_properties.is_some() {
                    return;
                }
                let nothing = MetaSchema { title: Some(NOTHING_MORE.to_owned()), ..MetaSchema::ANY };
                schema.additional_properties = Some(Box::new(MetaSchemaRef::Inline(Box::new(nothing))));
            }
            schema.clone()
        }
        MetaSchemaRef::Inline(schema) => (**schema).clone(),
    };
    let parts = inner.properties.iter().map(|(_, schema)| schema).chain(inner.items.as_deref());
    for part in parts.chain(&inner.all_of).chain(&inner.any_of).chain(&inner.one_of) {
        close(registry, part);
    }
}

/// Where the description of a problem has [`ApiInfo::problem_types`]: the descriptions of types are constant.
const PROBLEM_TYPES: &str = "{problem_types}";

/// Writes `"additionalProperties": false` where [`close`] has marked it, since the type of schemas has no place for `false`, and
/// what the types of problems begin with.
fn completed(document: &str, info: &ApiInfo) -> String {
    const KEY: &str = "\"additionalProperties\": ";
    let mut pieces = document.split(KEY);
    let mut closed = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        closed.push_str(KEY);
        match piece.split_once('}') {
            Some((schema, rest)) if schema.contains(NOTHING_MORE) => {
                closed.push_str("false");
                closed.push_str(rest);
            }
            _ => closed.push_str(piece),
        }
    }
    closed.replace(PROBLEM_TYPES, info.problem_types)
}
