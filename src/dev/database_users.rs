//! Who logs in to the private PostgreSQL server: the owner of the database, and an account for each role.

use super::files;
use super::{DATABASE_NAME, DATABASE_PASSWORD, DATABASE_USER};
use secrecy::{ExposeSecret, SecretString};

/// The server's own.
pub(super) const SUPERUSER: &str = "postgres";

/// A role with an account of its own.
struct RoleAccount {
    /// The role's command.
    role: &'static str,
    user: &'static str,
    /// The group that `migrate` grants to (`store/rights.rs`).
    group: &'static str,
}

const ROLE_ACCOUNTS: [RoleAccount; 3] = [
    RoleAccount { role: "order-service", user: "restaurant_order_service", group: "restaurant_order" },
    RoleAccount {
        role: "tracking-service",
        user: "restaurant_tracking_service",
        group: "restaurant_tracking",
    },
    RoleAccount { role: "kitchen-worker", user: "restaurant_kitchen_worker", group: "restaurant_kitchen" },
];

/// All of them with their passwords.
#[derive(Debug, Clone)]
pub(super) struct DatabaseUsers {
    owner: SecretString,
    /// In the order of [`ROLE_ACCOUNTS`].
    roles: [SecretString; ROLE_ACCOUNTS.len()],
}

impl DatabaseUsers {
    /// With this password for all, else with those of the last start, of whose `pgpass` this is the text; a random one for who
    /// is new, or has the one that everybody knows.
    pub(super) fn new(password: Option<&str>, pgpass: &str) -> Self {
        let of = |user| {
            let kept = || password_of(user, pgpass).filter(|password| password != DATABASE_PASSWORD);
            let password = password.map(str::to_owned).or_else(kept).unwrap_or_else(files::random_word);
            SecretString::from(password)
        };
        Self { owner: of(DATABASE_USER), roles: ROLE_ACCOUNTS.each_ref().map(|account| of(account.user)) }
    }

    /// The account of a role, or the owner's where it has none of its own: its name and its password.
    pub(super) fn of_role(&self, role: &str) -> (&'static str, &SecretString) {
        let own = ROLE_ACCOUNTS.iter().zip(&self.roles).find(|(account, _)| account.role == role);
        own.map_or((DATABASE_USER, &self.owner), |(account, password)| (account.user, password))
    }

    fn all(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let roles = ROLE_ACCOUNTS.iter().zip(&self.roles);
        let roles = roles.map(|(account, password)| (account.user, password.expose_secret()));
        std::iter::once((DATABASE_USER, self.owner.expose_secret())).chain(roles)
    }

    /// The text of a `pgpass`.
    pub(super) fn pgpass(&self, superuser_password: &str) -> String {
        let mut text = format!("127.0.0.1:*:*:{SUPERUSER}:{superuser_password}\n");
        for (user, password) in self.all() {
            text.push_str(&format!("127.0.0.1:*:*:{user}:{password}\n"));
        }
        text
    }

    /// Whether that is what a `pgpass` says.
    pub(super) fn are_in(&self, pgpass: &str) -> bool {
        self.all().all(|(user, password)| password_of(user, pgpass).as_deref() == Some(password))
    }

    /// What makes the groups, the users and the database that are missing, for `psql`; and sets all passwords where they are
    /// not those of the last start: only then, since a server in recovery takes no change.
    pub(super) fn creation(&self, are_kept: bool) -> String {
        // The log has every statement that fails, and these have a password.
        let mut sql = "SET log_min_error_statement TO panic;\n".to_owned();
        let mut create = |role: &str, how: &str| {
            sql.push_str(&format!(
                "SELECT 'CREATE ROLE {role} {how}' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}')\\gexec\n"
            ));
        };
        ROLE_ACCOUNTS.iter().for_each(|account| create(account.group, "NOLOGIN"));
        for (user, password) in self.all() {
            let group = ROLE_ACCOUNTS.iter().find(|account| account.user == user);
            let group = group.map(|account| format!(" IN ROLE {}", account.group)).unwrap_or_default();
            create(user, &format!("LOGIN PASSWORD ''{password}''{group}"));
        }
        for (user, password) in self.all().filter(|_| !are_kept) {
            sql.push_str(&format!("ALTER ROLE {user} PASSWORD '{password}';\n"));
        }
        sql + &format!(
            "SELECT 'CREATE DATABASE {DATABASE_NAME} OWNER {DATABASE_USER} ENCODING ''UTF8'' TEMPLATE template0' \
             WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '{DATABASE_NAME}')\\gexec\n"
        )
    }
}

/// The password of a user in the text of a `pgpass` that we wrote.
pub(super) fn password_of(user: &str, pgpass: &str) -> Option<String> {
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

    #[test]
    fn passwords_are_kept_but_the_one_that_everybody_knows() {
        let first = DatabaseUsers::new(None, "");
        let pgpass = first.pgpass("secret");
        let second = DatabaseUsers::new(None, &pgpass);
        assert!(first.are_in(&pgpass) && second.are_in(&pgpass));
        let known = DatabaseUsers::new(Some(DATABASE_PASSWORD), &pgpass);
        assert!(!known.are_in(&pgpass));
        assert!(!DatabaseUsers::new(None, &known.pgpass("secret")).are_in(&known.pgpass("secret")));
    }

    #[test]
    fn each_role_with_the_database_has_an_account_and_whoever_else_asks_the_owners() {
        let users = DatabaseUsers::new(None, "");
        let of = |role| users.of_role(role).0;
        assert_eq!(of("tracking-service"), "restaurant_tracking_service");
        assert_eq!((of("migrate"), of("notification-subscriber")), (DATABASE_USER, DATABASE_USER));
    }
}
