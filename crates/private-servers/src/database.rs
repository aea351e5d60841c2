//! Who logs in to the private PostgreSQL server: the owner of the database, and the accounts that it has beside.

use secrecy::{ExposeSecret, SecretString};

use super::files;

/// The server's own.
pub(crate) const SUPERUSER: &str = "postgres";

/// What a private PostgreSQL server has. The names are written into SQL as they are, unquoted: words of `a-z`, `0-9` and `_`.
#[derive(Debug, Clone, Copy)]
pub struct Database {
    /// The name of the database.
    pub name: &'static str,
    /// The user that it belongs to, who is no superuser.
    pub owner: &'static str,
    /// The password of all its users where random ones are not wanted, as in tests.
    pub password: &'static str,
    /// The accounts beside the owner's.
    pub accounts: &'static [DatabaseAccount],
}

/// An account beside the owner's.
#[derive(Debug, Clone, Copy)]
pub struct DatabaseAccount {
    /// Its name.
    pub user: &'static str,
    /// The group that it is in, to which rights are granted; a role that cannot log in.
    pub group: &'static str,
}

/// The users of a database with their passwords.
#[derive(Debug, Clone)]
pub(crate) struct DatabaseUsers {
    database: Database,
    /// The owner's, then those of the accounts in their order.
    passwords: Vec<SecretString>,
}

impl DatabaseUsers {
    /// With the well-known password for all, or with those of the last start, of whose `pgpass` this is the text. A user who
    /// is new, or has the one that everybody knows, gets a random one then.
    pub(crate) fn new(database: Database, random: bool, pgpass: &str) -> Self {
        let of = |user| {
            let kept = || password_of(user, pgpass).filter(|password| password != database.password);
            let known = (!random).then(|| database.password.to_owned());
            SecretString::from(known.or_else(kept).unwrap_or_else(files::random_word))
        };
        Self { database, passwords: names(database).map(of).collect() }
    }

    /// The account of this name with its password; the owner's where there is none.
    pub(crate) fn account(&self, user: &str) -> (&'static str, &SecretString) {
        let mut all = names(self.database).zip(&self.passwords);
        all.find(|(name, _)| *name == user).unwrap_or((self.database.owner, &self.passwords[0]))
    }

    fn all(&self) -> impl Iterator<Item = (&'static str, &str)> {
        names(self.database).zip(self.passwords.iter().map(SecretString::expose_secret))
    }

    /// The text of a `pgpass`.
    pub(crate) fn pgpass(&self, superuser_password: &str) -> String {
        let mut text = format!("127.0.0.1:*:*:{SUPERUSER}:{superuser_password}\n");
        for (user, password) in self.all() {
            text.push_str(&format!("127.0.0.1:*:*:{user}:{password}\n"));
        }
        text
    }

    /// Whether that is what a `pgpass` says.
    pub(crate) fn are_in(&self, pgpass: &str) -> bool {
        self.all().all(|(user, password)| password_of(user, pgpass).as_deref() == Some(password))
    }

    /// What makes the groups, the users and the database that are missing, for `psql`; and sets all passwords where they are
    /// not those of the last start: only then, since a server in recovery takes no change.
    pub(crate) fn creation(&self, are_kept: bool) -> String {
        // The log has every statement that fails, and these have a password.
        let mut sql = "SET log_min_error_statement TO panic;\n".to_owned();
        let mut create = |role: &str, how: &str| {
            sql.push_str(&format!(
                "SELECT 'CREATE ROLE {role} {how}' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}')\\gexec\n"
            ));
        };
        let Database { name, owner, accounts, .. } = self.database;
        accounts.iter().for_each(|account| create(account.group, "NOLOGIN"));
        for (user, password) in self.all() {
            let group = accounts.iter().find(|account| account.user == user);
            let group = group.map(|account| format!(" IN ROLE {}", account.group)).unwrap_or_default();
            create(user, &format!("LOGIN PASSWORD ''{password}''{group}"));
        }
        for (user, password) in self.all().filter(|_| !are_kept) {
            sql.push_str(&format!("ALTER ROLE {user} PASSWORD '{password}';\n"));
        }
        sql + &format!(
            "SELECT 'CREATE DATABASE {name} OWNER {owner} ENCODING ''UTF8'' TEMPLATE template0' \
             WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '{name}')\\gexec\n"
        )
    }
}

/// The owner, then the accounts.
fn names(database: Database) -> impl Iterator<Item = &'static str> {
    std::iter::once(database.owner).chain(database.accounts.iter().map(|account| account.user))
}

/// The password of a user in the text of a `pgpass` that we wrote.
pub(crate) fn password_of(user: &str, pgpass: &str) -> Option<String> {
    let fields = |line: &str| {
        Some(line.strip_prefix("127.0.0.1:*:*:")?.strip_prefix(user)?.strip_prefix(':')?.to_owned())
    };
    let ours =
        |word: &String| !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    pgpass.lines().find_map(fields).filter(ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATABASE: Database = Database {
        name: "library",
        owner: "librarian",
        password: "well_known",
        accounts: &[DatabaseAccount { user: "library_reader", group: "readers" }],
    };

    #[test]
    fn passwords_are_kept_but_the_one_that_everybody_knows() {
        let first = DatabaseUsers::new(DATABASE, true, "");
        let pgpass = first.pgpass("secret");
        let second = DatabaseUsers::new(DATABASE, true, &pgpass);
        assert!(first.are_in(&pgpass) && second.are_in(&pgpass));
        let known = DatabaseUsers::new(DATABASE, false, &pgpass);
        assert!(!known.are_in(&pgpass));
        let known = known.pgpass("secret");
        assert!(!DatabaseUsers::new(DATABASE, true, &known).are_in(&known));
    }

    #[test]
    fn an_account_is_found_by_its_name_and_the_owners_stands_in_for_one_that_is_missing() {
        let users = DatabaseUsers::new(DATABASE, true, "");
        let (reader, readers_password) = users.account("library_reader");
        let (owner, owners_password) = users.account("nobody");
        assert_eq!((reader, owner), ("library_reader", "librarian"));
        assert_ne!(readers_password.expose_secret(), owners_password.expose_secret());
    }
}
