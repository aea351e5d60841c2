//! The route of what the pages load.

use http_kit::web::ServedFile;
use http_kit::{Fail, may};
use poem::http::HeaderMap;
use poem_openapi::param::Path;
use poem_openapi::{OpenApi, Tags};

use super::FILES;

/// Serves the styles and scripts of all pages.
#[derive(Debug, Clone, Copy)]
pub struct PageFiles;

/// Of the pages' calls.
#[derive(Tags)]
pub enum PageTag {
    /// For persons.
    Pages,
}

#[OpenApi(tag = "PageTag::Pages")]
impl PageFiles {
    /// What the pages load
    #[oai(path = "/assets/:version/:name", method = "get", operation_id = "pageFile")]
    async fn file(
        &self,
        headers: &HeaderMap,
        version: Path<String>,
        name: Path<String>,
    ) -> Result<ServedFile, Fail<{ may::NOT_FOUND }>> {
        Ok(FILES.get(&version, &name, headers)?)
    }
}
