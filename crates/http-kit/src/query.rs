//! No query parameter is passed over: one that a route does not have is refused by its name, and so is a second value of one
//! that has one. A client that misspells a filter would otherwise take all for what it asked for.
//!
//! Which parameters a route has is what the API itself declares, so no second list has to be kept. Pages alone pass over what
//! other sites add to the links that lead to them ([`is_of_a_campaign`]).

use std::collections::{BTreeSet, HashMap};

use futures_util::{FutureExt, future::BoxFuture};
use poem::{
    Request, Response,
    endpoint::{BoxEndpoint, DynEndpoint},
    http::Method,
};
use poem_openapi::{
    OpenApi,
    registry::{MetaApi, MetaOperation, MetaOperationParam, MetaParamIn, MetaSchemaRef, Registry},
};

use super::fail::meta_of_bad_request;
use super::problem::Problem;
use super::reply::{Media, media::Html};
use super::shown::on_one_line;

/// So many parameters are named in a refusal.
const MAX_NAMED: usize = 5;
/// So much of a parameter's name is shown: it is the client's own text.
const MAX_NAME_CHARS: usize = 64;

/// What search engines, social networks and newsletters add to a link, so that its owner can count who came by it.
const OF_CAMPAIGNS: [&str; 12] = [
    "dclid", "fbclid", "gbraid", "gclid", "igshid", "mc_cid", "mc_eid", "msclkid", "ttclid", "twclid",
    "wbraid", "yclid",
];
/// How the names begin that people choose themselves for the same.
const CAMPAIGN_PREFIX: &str = "utm_";

/// An API whose routes look at the whole query before they do anything. Each of its operations may answer with 400.
pub(super) struct WholeQuery<A>(pub(super) A);

impl<A: OpenApi> OpenApi for WholeQuery<A> {
    fn meta() -> Vec<MetaApi> {
        let mut apis = A::meta();
        for operation in apis.iter_mut().flat_map(|api| &mut api.paths).flat_map(|path| &mut path.operations)
        {
            let responses = &mut operation.responses.responses;
            if responses.iter().all(|response| response.status != Some(400)) {
                responses.push(meta_of_bad_request());
                responses.sort_by_key(|response| response.status);
            }
        }
        apis
    }

    fn register(registry: &mut Registry) {
        A::register(registry);
    }

    fn add_routes(self, routes: &mut HashMap<String, HashMap<Method, BoxEndpoint<'static>>>) {
        let mut parameters: HashMap<(String, Method), Parameters> = A::meta()
            .into_iter()
            .flat_map(|api| api.paths)
            .flat_map(|path| path.operations.into_iter().map(move |each| (path.path.clone(), each)))
            .map(|(path, operation)| {
                ((super::routes::pattern_of(&path), operation.method.clone()), Parameters::of(&operation))
            })
            .collect();
        let mut inner = HashMap::new();
        self.0.add_routes(&mut inner);
        for (pattern, endpoints) in inner {
            let methods: &mut HashMap<_, _> = routes.entry(pattern.clone()).or_default();
            for (method, endpoint) in endpoints {
                let parameters = parameters.remove(&(pattern.clone(), method.clone())).unwrap_or_default();
                methods.insert(method, Box::new(Route { parameters, endpoint }));
            }
        }
    }
}

/// One route behind the look at its query.
struct Route {
    parameters: Parameters,
    endpoint: BoxEndpoint<'static>,
}

/// By hand, so that a request without a query costs no second future.
impl DynEndpoint for Route {
    type Output = Response;

    fn call(&self, request: Request) -> BoxFuture<'_, poem::Result<Response>> {
        match self.parameters.fault(&request) {
            None => DynEndpoint::call(&*self.endpoint, request),
            Some(problem) => async { Err(problem.into()) }.boxed(),
        }
    }
}

/// The query parameters that a route has.
#[derive(Default)]
struct Parameters {
    /// Each stands for one value.
    single: Vec<String>,
    /// Each may be repeated.
    repeated: Vec<String>,
    /// Whether the route answers people with a page.
    is_of_a_page: bool,
}

impl Parameters {
    fn of(operation: &MetaOperation) -> Self {
        let of_query = operation.params.iter().filter(|parameter| parameter.in_type == MetaParamIn::Query);
        let (repeated, single): (Vec<_>, Vec<_>) = of_query.partition(|parameter| is_list(parameter));
        let names = |parameters: Vec<&MetaOperationParam>| -> Vec<String> {
            parameters.into_iter().map(|parameter| parameter.name.clone()).collect()
        };
        Self {
            single: names(single),
            repeated: names(repeated),
            is_of_a_page: answers_with_a_page(operation),
        }
    }

    /// What is wrong with a request's query, whatever its values are.
    fn fault(&self, request: &Request) -> Option<Problem> {
        request.uri().query().filter(|query| !query.is_empty())?;
        let pairs: Vec<(String, String)> = request.params().unwrap_or_default();
        let mut seen = BTreeSet::new();
        let (mut unknown, mut again) = (BTreeSet::new(), BTreeSet::new());
        for (name, _) in &pairs {
            if self.single.contains(name) {
                if !seen.insert(name) {
                    again.insert(name.as_str());
                }
            } else if !self.takes(name) {
                unknown.insert(name.as_str());
            }
        }
        let unknown = faulty(&unknown, "unknown");
        let again = faulty(&again, "there more than once");
        match (unknown, again) {
            (None, None) => None,
            (Some(unknown), _) => Some(Problem::invalid_parameter(format!("{unknown}; {}", self.known()))),
            (None, Some(again)) => Some(Problem::invalid_parameter(again)),
        }
    }

    /// Whether a parameter may be there, as often as it likes.
    fn takes(&self, name: &String) -> bool {
        self.repeated.contains(name) || (self.is_of_a_page && is_of_a_campaign(name))
    }

    fn known(&self) -> String {
        let known: Vec<&str> = self.repeated.iter().chain(&self.single).map(String::as_str).collect();
        if known.is_empty() {
            "there are none here".to_owned()
        } else {
            format!("there are {} here", known.join(", "))
        }
    }
}

/// Whether another site has added a parameter of this name to a link. The person who follows it has not, and is to see the page.
fn is_of_a_campaign(name: &str) -> bool {
    name.starts_with(CAMPAIGN_PREFIX) || OF_CAMPAIGNS.contains(&name)
}

fn answers_with_a_page(operation: &MetaOperation) -> bool {
    let mut contents = operation.responses.responses.iter().flat_map(|response| &response.content);
    contents.any(|content| content.content_type == Html::CONTENT_TYPE)
}

/// Whether a parameter has a list of values, each given as a parameter of that name.
fn is_list(parameter: &MetaOperationParam) -> bool {
    matches!(&parameter.schema, MetaSchemaRef::Inline(schema) if schema.ty == "array")
}

/// The sentence about the parameters that have the fault; `None` where none has.
fn faulty(names: &BTreeSet<&str>, fault: &str) -> Option<String> {
    let named: Vec<String> = names.iter().take(MAX_NAMED).map(|name| shown(name)).collect();
    let more = names.len() - named.len();
    match named.as_slice() {
        [] => None,
        [only] => Some(format!("the parameter {only} is {fault}")),
        all if more == 0 => Some(format!("the parameters {} are {fault}", all.join(", "))),
        all => Some(format!("the parameters {} and {more} more are {fault}", all.join(", "))),
    }
}

/// A name as a client wrote it, on one line.
fn shown(name: &str) -> String {
    match name {
        "" => "without a name".to_owned(),
        name => on_one_line(name, MAX_NAME_CHARS),
    }
}
