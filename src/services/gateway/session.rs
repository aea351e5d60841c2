//! A session that has begun, as the order service answers it: its token is for the browser's cookie, and for no script.

use serde_json::{Map, Value};

use super::upstream::UpstreamError;

pub(super) struct Session {
    /// For the cookie.
    pub(super) token: String,
    /// Everything else of the answer, as JSON.
    pub(super) document: String,
}

impl Session {
    /// Reads the answer to `POST /sessions`.
    ///
    /// # Errors
    /// 503 where it is none.
    pub(super) fn read(body: &[u8]) -> Result<Self, UpstreamError> {
        let mut document: Map<String, Value> =
            serde_json::from_slice(body).map_err(|_| UpstreamError::unexpected())?;
        match document.remove("token") {
            Some(Value::String(token)) => Ok(Self { token, document: Value::from(document).to_string() }),
            _ => Err(UpstreamError::unexpected()),
        }
    }
}
