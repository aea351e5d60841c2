//! How the gateway's document describes the calls that it passes on. What they take and answer is in the documents of the services.

use std::collections::{BTreeMap, HashMap};

use http_kit::problem::{MEDIA_TYPE, ProblemBody};
use http_kit::sse::Sse;
use poem::http::HeaderName;
use poem_openapi::ApiExtractor;
use poem_openapi::payload::Payload;
use poem_openapi::registry::{
    MetaApi, MetaMediaType, MetaOperation, MetaOperationParam, MetaParamIn, MetaPath, MetaRequest,
    MetaResponse, MetaResponses, MetaSchema, MetaSchemaRef, MetaTag, Registry,
};
use poem_openapi::types::Type;

use super::routes::{ROUTES, Route, Way};
use crate::http::caller::StaffCaller;

const TAG: &str = "Calls";
const JSON: &str = "application/json";

/// All of them, each path once.
pub(super) fn meta() -> Vec<MetaApi> {
    let mut paths: BTreeMap<String, Vec<MetaOperation>> = BTreeMap::new();
    for route in ROUTES.iter() {
        paths.entry(route.public_path()).or_default().push(operation(route));
    }
    let paths = paths.into_iter().map(|(path, operations)| MetaPath { path, operations });
    vec![MetaApi { paths: paths.collect() }]
}

pub(super) fn register(registry: &mut Registry) {
    ProblemBody::register(registry);
    StaffCaller::register(registry);
    let description = Some("Those calls of the order service and the tracking service that pages need.");
    registry.create_tag(MetaTag { name: TAG, description, external_docs: None });
}

fn operation(route: &Route) -> MetaOperation {
    let of_path: Vec<_> = route.path.split(['{', '}']).skip(1).step_by(2).collect();
    let headers: Vec<_> = route.headers.iter().map(HeaderName::as_str).collect();
    let params = [
        parameters(&of_path, MetaParamIn::Path),
        parameters(route.query, MetaParamIn::Query),
        parameters(&headers, MetaParamIn::Header),
    ];
    let security =
        StaffCaller::security_schemes().into_iter().map(|scheme| HashMap::from([(scheme, Vec::new())]));
    MetaOperation {
        method: route.method.clone(),
        tags: vec![TAG],
        summary: Some(route.summary),
        description: None,
        external_docs: None,
        params: params.into_iter().flatten().collect(),
        request: matches!(route.way, Way::WithBody | Way::BeginSession).then(body),
        responses: responses(route),
        deprecated: false,
        security: if route.staff { security.collect() } else { Vec::new() },
        operation_id: Some(route.operation_id),
        code_samples: Vec::new(),
    }
}

fn parameters(names: &[&str], in_type: MetaParamIn) -> Vec<MetaOperationParam> {
    names.iter().map(|name| parameter(name, in_type)).collect()
}

/// A text, or several where the name ends in `[]`.
fn parameter(name: &str, in_type: MetaParamIn) -> MetaOperationParam {
    let (name, is_list) = name.strip_suffix("[]").map_or((name, false), |name| (name, true));
    let text = MetaSchema::new("string");
    let list = |text| MetaSchema {
        items: Some(Box::new(MetaSchemaRef::Inline(Box::new(text)))),
        ..MetaSchema::new("array")
    };
    let schema = if is_list { list(text) } else { text };
    MetaOperationParam {
        name: name.to_owned(),
        schema: MetaSchemaRef::Inline(Box::new(schema)),
        required: in_type == MetaParamIn::Path,
        in_type,
        description: None,
        deprecated: false,
        explode: true,
        style: None,
    }
}

fn body() -> MetaRequest {
    MetaRequest { description: None, content: vec![json(JSON, anything())], required: false }
}

fn anything() -> MetaSchemaRef {
    MetaSchemaRef::Inline(Box::new(MetaSchema::ANY))
}

fn json(content_type: &'static str, schema: MetaSchemaRef) -> MetaMediaType {
    MetaMediaType { content_type, schema }
}

fn responses(route: &Route) -> MetaResponses {
    let response = |status, description, content| MetaResponse {
        description,
        status,
        status_range: None,
        content,
        headers: Vec::new(),
    };
    let success = match route.way {
        Way::Stream => json(Sse::CONTENT_TYPE, Sse::schema_ref()),
        _ => json(JSON, anything()),
    };
    let problem = json(MEDIA_TYPE, ProblemBody::schema_ref());
    let success = response(None, "As the service's own document says.", vec![success, problem]);
    MetaResponses { responses: vec![success] }
}
