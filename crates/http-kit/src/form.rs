//! Reading what a browser sends for a form.

use std::marker::PhantomData;

use poem::{Request, RequestBody};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ExtractParamOptions,
    registry::{MetaMediaType, MetaRequest, Registry},
    types::Type,
};

use super::body;

const FORM: &str = "application/x-www-form-urlencoded";

/// The fields of a form; `T` is its schema in the OpenAPI document. Fails as in [`may::BODY`](super::fail::may::BODY).
#[derive(Debug)]
pub struct FormRequest<T> {
    fields: Vec<(String, String)>,
    schema: PhantomData<fn() -> T>,
}

impl<T> FormRequest<T> {
    /// Takes the text of a field; the first, where there are several, and an empty one where there is none.
    pub fn take(&mut self, name: &str) -> String {
        let field = self.fields.iter_mut().find(|(field, _)| field == name);
        field.map(|(_, text)| std::mem::take(text)).unwrap_or_default()
    }

    /// All of them, as they came: for a form whose fields are not known before.
    pub fn into_fields(self) -> Vec<(String, String)> {
        self.fields
    }
}

impl<'a, T: Type> ApiExtractor<'a> for FormRequest<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        Some(MetaRequest {
            description: None,
            content: vec![MetaMediaType { content_type: FORM, schema: T::schema_ref() }],
            required: true,
        })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let bytes = body::taken(request, body, FORM).await?;
        Ok(Self { fields: form_urlencoded::parse(&bytes).into_owned().collect(), schema: PhantomData })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_its_first_text_and_empty_where_there_is_none() {
        let fields = form_urlencoded::parse(b"name=J%C3%BCrgen+K.&name=max").into_owned().collect();
        let mut form = FormRequest::<()> { fields, schema: PhantomData };
        assert_eq!((form.take("name"), form.take("password")), ("J\u{fc}rgen K.".to_owned(), String::new()));
    }
}
