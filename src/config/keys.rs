//! The keys that exist, their names in the environment, and the nearest one to a misspelt key.

/// The prefix of our environment variables.
const ENV_PREFIX: &str = "RESTAURANT_";

/// One key of the configuration.
pub(super) struct Key {
    /// The full path: `database.port`.
    pub(super) path: &'static str,
    /// Whether a list may stand in place of a single value.
    pub(super) list: bool,
}

impl Key {
    /// A key with a single value.
    pub(super) const fn single(path: &'static str) -> Self {
        Self { path, list: false }
    }

    /// A key with a single value or a list of them (in the environment: separated by commas).
    pub(super) const fn list(path: &'static str) -> Self {
        Self { path, list: true }
    }

    /// Its environment variable: `RESTAURANT_DATABASE_PORT`.
    pub(super) fn env_name(&self) -> String {
        format!("{ENV_PREFIX}{}", self.path.replace('.', "_").to_uppercase())
    }
}

/// Every key there is, section by section.
#[derive(Clone, Copy)]
pub(super) struct Keys(pub(super) &'static [&'static [Key]]);

impl Keys {
    pub(super) fn all(self) -> impl Iterator<Item = &'static Key> {
        self.0.iter().copied().flatten()
    }

    /// The key of this path.
    pub(super) fn find(self, path: &str) -> Option<&'static Key> {
        self.all().find(|key| key.path == path)
    }

    /// The names that may stand directly under `parent` (`""`: the top level), each once.
    pub(super) fn children(self, parent: &str) -> Vec<&'static str> {
        let mut names = Vec::new();
        for key in self.all() {
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

    /// Whether a variable is one of ours: it is in a section's name space, so it must name a key.
    pub(super) fn is_section_variable(self, name: &str) -> bool {
        name.strip_prefix(ENV_PREFIX).is_some_and(|rest| {
            self.children("").iter().any(|section| {
                rest.strip_prefix(section.to_uppercase().as_str()).is_some_and(|rest| rest.starts_with('_'))
            })
        })
    }
}

/// ` (did you mean "port"?)` for the nearest candidate, nothing where none is near.
pub(super) fn suggestion<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    let limit = (name.chars().count() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .map(|candidate| (edit_distance(&name.to_lowercase(), &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, candidate)| format!(" (did you mean \"{candidate}\"?)"))
        .unwrap_or_default()
}

/// Edits (insert, delete, replace, swap of neighbours) that turn one word into the other.
fn edit_distance(from: &str, to: &str) -> usize {
    let from: Vec<char> = from.chars().collect();
    let to: Vec<char> = to.chars().collect();
    let mut rows = vec![vec![0; to.len() + 1]; from.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    for (j, cell) in rows[0].iter_mut().enumerate() {
        *cell = j;
    }
    for i in 1..=from.len() {
        for j in 1..=to.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(from[i - 1] != to[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[from.len()][to.len()]
}

#[cfg(test)]
mod tests {
    use super::super::KEYS;
    use super::*;

    #[test]
    fn no_two_keys_share_a_path_or_a_variable() {
        let mut names: Vec<_> = KEYS.all().map(Key::env_name).collect();
        names.sort();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn a_near_miss_is_suggested_and_a_far_one_is_not() {
        assert_eq!(suggestion("hots", KEYS.children("database")), " (did you mean \"host\"?)");
        assert_eq!(suggestion("Port", KEYS.children("database")), " (did you mean \"port\"?)");
        assert_eq!(suggestion("databse", KEYS.children("")), " (did you mean \"database\"?)");
        assert_eq!(suggestion("colour", KEYS.children("database")), "");
        assert_eq!(suggestion("x", KEYS.children("")), "");
    }

    #[test]
    fn only_section_variables_are_ours() {
        assert!(KEYS.is_section_variable("RESTAURANT_DATABASE_HOTS"));
        assert!(KEYS.is_section_variable("RESTAURANT_STAFF_X"));
        for other in ["RESTAURANT_PORT", "RESTAURANT_ORDER_TYPES", "DATABASE_HOST", "RESTAURANT_DATABASES"] {
            assert!(!KEYS.is_section_variable(other), "{other}");
        }
    }
}
