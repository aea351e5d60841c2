//! A table of keys: what may be configured, with which bounds, and what holds where nothing is said.
//!
//! Everything that knows a key reads its row here: the file, the environment, the flags, the values with their error texts,
//! and the example file.

/// The keys of a program and the prefix of their environment variables.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// With the underscore at its end.
    pub env_prefix: &'static str,
    /// The rows, in the order in which people read them.
    pub rows: &'static [Key],
}

/// One row: a key, or a section of keys.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// The full path: `database.port`.
    pub path: &'static str,
    /// What may stand there.
    pub kind: Kind,
    /// What holds where nothing is said, as the file has it; of a key [without a default](Key::unset) an example.
    pub default: &'static str,
    /// Whether it has no default.
    pub is_unset: bool,
    /// What people want to know of it.
    pub help: &'static str,
}

/// What may stand at a key.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Other keys.
    Section,
    /// A single value, whose form is checked where it is read.
    Text,
    /// A single value or a list of them; in the environment they are separated by commas.
    List,
    /// A whole number from the first to the second.
    Number(u64, u64),
    /// A time in seconds, decimals allowed, of at least so many.
    Seconds(f64),
    /// A number from the first to the second, decimals allowed.
    Decimal(f64, f64),
}

impl Key {
    /// A section, whose keys have its path before theirs.
    pub const fn section(path: &'static str, help: &'static str) -> Self {
        Self { path, kind: Kind::Section, default: "", is_unset: true, help }
    }

    /// A key with a single value.
    pub const fn text(path: &'static str, default: &'static str, help: &'static str) -> Self {
        Self { path, kind: Kind::Text, default, is_unset: false, help }
    }

    /// A key with a single value or a list of them.
    pub const fn list(path: &'static str, default: &'static str, help: &'static str) -> Self {
        Self { kind: Kind::List, ..Self::text(path, default, help) }
    }

    /// A key with a whole number from `min` to `max`.
    pub const fn number(
        path: &'static str,
        (min, max): (u64, u64),
        default: &'static str,
        help: &'static str,
    ) -> Self {
        Self { kind: Kind::Number(min, max), ..Self::text(path, default, help) }
    }

    /// A key with a time in seconds, of at least `min`.
    pub const fn seconds(path: &'static str, min: f64, default: &'static str, help: &'static str) -> Self {
        Self { kind: Kind::Seconds(min), ..Self::text(path, default, help) }
    }

    /// A key with a number from `min` to `max`, decimals allowed.
    pub const fn decimal(
        path: &'static str,
        (min, max): (f64, f64),
        default: &'static str,
        help: &'static str,
    ) -> Self {
        Self { kind: Kind::Decimal(min, max), ..Self::text(path, default, help) }
    }

    /// The same without a default.
    #[must_use]
    pub const fn unset(self) -> Self {
        Self { is_unset: true, ..self }
    }
}

impl Table {
    /// Every key that can have a value.
    pub fn keys(&self) -> impl Iterator<Item = &'static Key> {
        self.rows.iter().filter(|row| row.kind != Kind::Section)
    }

    /// The key of this path.
    pub fn find(&self, path: &str) -> Option<&'static Key> {
        self.keys().find(|key| key.path == path)
    }

    /// The names that may stand directly under `parent` (`""`: the top level), each once.
    pub fn children(&self, parent: &str) -> Vec<&'static str> {
        let mut names = Vec::new();
        for key in self.keys() {
            let below = match parent {
                "" => Some(key.path),
                _ => key.path.strip_prefix(parent).and_then(|rest| rest.strip_prefix('.')),
            };
            if let Some(name) = below.and_then(|rest| rest.split('.').next())
                && !names.contains(&name)
            {
                names.push(name);
            }
        }
        names
    }

    /// The environment variable of a key: `APP_DATABASE_PORT`.
    pub fn env_name(&self, key: &Key) -> String {
        format!("{}{}", self.env_prefix, key.path.replace('.', "_").to_uppercase())
    }

    /// Whether a variable is in a section's name space, so that it must name a key.
    pub fn is_section_variable(&self, name: &str) -> bool {
        name.strip_prefix(self.env_prefix).is_some_and(|rest| {
            self.children("").iter().any(|section| {
                rest.strip_prefix(section.to_uppercase().as_str()).is_some_and(|rest| rest.starts_with('_'))
            })
        })
    }
}

/// ` (did you mean "port"?)` for the nearest candidate, nothing where none is near.
pub(crate) fn suggestion<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    let limit = (name.chars().count() / 3).clamp(1, 3);
    let distance = |candidate: &str| strsim::osa_distance(&name.to_lowercase(), &candidate.to_lowercase());
    let nearest = candidates.into_iter().map(|candidate| (distance(candidate), candidate)).min();
    match nearest {
        Some((distance, candidate)) if distance <= limit => format!(" (did you mean \"{candidate}\"?)"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: Table = Table {
        env_prefix: "APP_",
        rows: &[
            Key::section("database", ""),
            Key::list("database.host", "localhost", ""),
            Key::number("database.port", (1, 65_535), "5432", ""),
            Key::text("database.tls.ca_file", "ca.pem", "").unset(),
            Key::text("staff.token_file", "token", "").unset(),
        ],
    };

    #[test]
    fn a_section_has_the_names_below_it() {
        assert_eq!(TABLE.children(""), ["database", "staff"]);
        assert_eq!(TABLE.children("database"), ["host", "port", "tls"]);
        assert_eq!(TABLE.children("database.tls"), ["ca_file"]);
        assert!(TABLE.find("database").is_none() && TABLE.find("database.port").is_some());
    }

    #[test]
    fn a_near_miss_is_suggested_and_a_far_one_is_not() {
        let suggested = |name: &str| suggestion(name, ["host", "port", "user"]);
        assert_eq!(suggested("hots"), " (did you mean \"host\"?)");
        assert_eq!(suggested("Port"), " (did you mean \"port\"?)");
        assert_eq!(suggestion("databse", TABLE.children("")), " (did you mean \"database\"?)");
        assert_eq!(suggested("colour"), "");
        assert_eq!(suggested("x"), "");
    }

    #[test]
    fn only_section_variables_are_ours() {
        assert!(TABLE.is_section_variable("APP_DATABASE_HOTS") && TABLE.is_section_variable("APP_STAFF_X"));
        for other in ["APP_PORT", "APP_ORDER_TYPES", "DATABASE_HOST", "APP_DATABASES"] {
            assert!(!TABLE.is_section_variable(other), "{other}");
        }
    }
}
