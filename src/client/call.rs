//! One call: a request, and its bounded answer or its stream.

use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;

use super::error::{ClientError, ProblemAnswer};

/// The longest answer that is read.
const MAX_ANSWER_BYTES: usize = 1024 * 1024;

/// Sends a request and reads its successful answer; any other is a [`ClientError::Problem`].
pub(super) async fn call(request: RequestBuilder, url: &Url) -> Result<Vec<u8>, ClientError> {
    read_bounded(send(request, url).await?, url).await
}

/// Sends a request; an answer that is no success is a [`ClientError::Problem`].
async fn send(request: RequestBuilder, url: &Url) -> Result<Response, ClientError> {
    let answer = request.send().await.map_err(|error| ClientError::transport(url, error))?;
    if answer.status().is_success() {
        return Ok(answer);
    }
    let (status, headers) = (answer.status(), answer.headers().clone());
    let body = read_bounded(answer, url).await?;
    Err(ClientError::Problem(Box::new(ProblemAnswer::from_answer(status, &headers, &body))))
}

/// Reads an answer of at most [`MAX_ANSWER_BYTES`].
async fn read_bounded(mut answer: Response, url: &Url) -> Result<Vec<u8>, ClientError> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| ClientError::transport(url, error))? {
        if body.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(ClientError::unexpected(url, format!("more than {MAX_ANSWER_BYTES} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Shows the token with a request, where there is one.
pub(super) fn as_staff(request: RequestBuilder, staff_token: Option<&SecretString>) -> RequestBuilder {
    match staff_token {
        Some(token) => request.bearer_auth(token.expose_secret().trim()),
        None => request,
    }
}

/// Reads the JSON of an answer.
pub(super) fn parse<T: DeserializeOwned>(body: &[u8], url: &Url) -> Result<T, ClientError> {
    serde_json::from_slice(body).map_err(|error| ClientError::unexpected(url, error.to_string()))
}

/// Opens an event stream. `None` when the service says that there is nothing more to come (204).
pub(super) async fn open_stream(
    client: &Client,
    url: &Url,
    last_event_id: Option<&str>,
    staff_token: Option<&SecretString>,
) -> Result<Option<Response>, ClientError> {
    let mut request = as_staff(client.get(url.clone()), staff_token).header(ACCEPT, "text/event-stream");
    if let Some(id) = last_event_id {
        request = request.header("Last-Event-ID", id);
    }
    let answer = send(request, url).await?;
    if answer.status() == StatusCode::NO_CONTENT {
        return Ok(None);
    }
    let content_type = answer.headers().get(CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok()).unwrap_or("nothing");
    if !content_type.starts_with("text/event-stream") {
        return Err(ClientError::unexpected(url, format!("{content_type} in place of text/event-stream")));
    }
    Ok(Some(answer))
}
