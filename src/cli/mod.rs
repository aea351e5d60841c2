//! cli
pub mod place;
pub mod simulate;
pub mod track;
