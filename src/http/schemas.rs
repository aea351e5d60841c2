//! How the domain's types look in the OpenAPI documents. They are written and read by serde, as everywhere else.

use http_kit::openapi_type;
use http_kit::schemas::{by_serde, never, one_of_texts};
use poem_openapi::registry::MetaSchema;

use crate::domain::{Allergen, Diet, Money, OrderType, RIGHTS, Right, Status, WorkerState};

openapi_type!(
    Money,
    "Money",
    MetaSchema { multiple_of: Some(0.01), minimum: Some(0.0), ..MetaSchema::new("number") },
    by_serde
);
openapi_type!(Status, "Status", one_of_texts(Status::ALL.into_iter().map(Status::as_str)), by_serde);
openapi_type!(
    OrderType,
    "OrderType",
    one_of_texts(OrderType::ALL.into_iter().map(OrderType::as_str)),
    by_serde
);
openapi_type!(Right, "Right", one_of_texts(RIGHTS.iter().map(|(right, _)| right.as_str())), never);
openapi_type!(Allergen, "Allergen", one_of_texts(Allergen::ALL.into_iter().map(Allergen::as_str)), by_serde);
openapi_type!(Diet, "Diet", one_of_texts(Diet::ALL.into_iter().map(Diet::as_str)), by_serde);
openapi_type!(
    WorkerState,
    "WorkerState",
    one_of_texts(
        [WorkerState::Online, WorkerState::Processing, WorkerState::Offline].map(|s| s.as_str()).into_iter()
    ),
    never
);
