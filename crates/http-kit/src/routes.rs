//! The table of routes: for 405 with `Allow`, and for metrics and logs by route rather than by path.
//!
//! It is derived from what the API itself declares, so no second list has to be kept.

use std::{collections::HashMap, sync::Arc};

use poem::http::{HeaderValue, Method};
use poem_openapi::{OpenApi, registry::MetaOperation};

/// One route as it is written in the OpenAPI document, with its methods.
#[derive(Debug, Clone)]
pub struct RouteInfo {
    /// For instance `/things/{name}`.
    pub template: Arc<str>,
    /// The `Allow` header: every method that it answers, `HEAD` (where there is `GET`) and `OPTIONS` among them.
    pub allow: HeaderValue,
    /// Whether an answer depends on the token that is shown.
    pub asks_for_token: bool,
}

/// All routes, by the pattern that the router matched.
#[derive(Debug, Clone, Default)]
pub struct RouteTable(HashMap<String, RouteInfo>);

impl RouteTable {
    /// The routes that `A` declares; hidden operations are not among them.
    pub fn of<A: OpenApi>() -> Self {
        let mut operations: HashMap<String, Vec<MetaOperation>> = HashMap::new();
        for path in A::meta().into_iter().flat_map(|api| api.paths) {
            operations.entry(path.path).or_default().extend(path.operations);
        }
        Self(
            operations
                .into_iter()
                .map(|(template, operations)| {
                    let methods: Vec<Method> = operations.iter().map(|each| each.method.clone()).collect();
                    let info = RouteInfo {
                        allow: allow_header(&methods),
                        template: Arc::from(template.as_str()),
                        asks_for_token: operations.iter().any(|each| !each.security.is_empty()),
                    };
                    (pattern_of(&template), info)
                })
                .collect(),
        )
    }

    /// The route that the router matched.
    pub fn get(&self, pattern: &str) -> Option<&RouteInfo> {
        self.0.get(pattern)
    }
}

/// The router's pattern of an OpenAPI path: poem-openapi numbers the parameters, `/things/:param0`.
pub fn pattern_of(template: &str) -> String {
    let mut parameters = 0..;
    let segments = template.split('/').map(|segment| match segment.starts_with('{') {
        true => format!(":param{}", parameters.next().unwrap_or_default()),
        false => segment.to_owned(),
    });
    segments.collect::<Vec<_>>().join("/")
}

fn allow_header(methods: &[Method]) -> HeaderValue {
    let mut names: Vec<&str> = methods.iter().map(Method::as_str).collect();
    if names.contains(&"GET") {
        names.push("HEAD");
    }
    names.push("OPTIONS");
    names.sort_unstable();
    names.dedup();
    HeaderValue::from_str(&names.join(", ")).unwrap_or_else(|_| HeaderValue::from_static("OPTIONS"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_become_the_routers_patterns() {
        assert_eq!(pattern_of("/"), "/");
        assert_eq!(pattern_of("/things/{name}/events"), "/things/:param0/events");
        assert_eq!(pattern_of("/a/{b}/{c}"), "/a/:param0/:param1");
    }

    #[test]
    fn allow_has_head_where_there_is_get_and_options_always() {
        assert_eq!(allow_header(&[Method::POST, Method::GET]), "GET, HEAD, OPTIONS, POST");
        assert_eq!(allow_header(&[Method::POST]), "OPTIONS, POST");
    }
}
