//! The state folder of `dev`, beside the servers' files: the roles' configuration, the staff's accounts and the staff token.

use std::path::{Path, PathBuf};

use private_servers::{RabbitMqServer, ServerError, Servers, files};
use secrecy::ExposeSecret;

use super::servers::DATABASE;
use crate::domain::{PasswordHash, StaffRole};

const HEADER: &str = "# Written by `restaurant-system dev` at each start: changes are lost.\n";
/// The roles that use the database, which a subscriber does not, in the order of their accounts in [`DATABASE`].
const DATABASE_ROLES: [&str; 3] = ["order-service", "tracking-service", "kitchen-worker"];

/// Who works here: one account for each role of the staff.
const STAFF: [(&str, StaffRole); 3] =
    [("anna", StaffRole::Kitchen), ("carla", StaffRole::Counter), ("max", StaffRole::Manager)];
/// Hexadecimal digits of a password, 48 bits: it is typed, and only on this machine.
const PASSWORD_CHARS: usize = 12;

/// The files that the roles and their users need; each for its owner only.
#[derive(Debug, Clone)]
pub(crate) struct StateFiles {
    dir: PathBuf,
    /// The configuration with the account of the database's owner, for `migrate` and for people.
    pub(crate) config: PathBuf,
    /// The token with which programs make the calls that are for staff.
    pub(crate) staff_token: PathBuf,
    /// Who works here.
    staff_accounts: PathBuf,
    /// The passwords of those.
    staff_passwords: PathBuf,
}

impl StateFiles {
    /// Where the files are in a state folder, as absolute paths: they are written down for use from anywhere.
    pub(crate) fn in_dir(state: &Path) -> Result<Self, ServerError> {
        let dir = std::path::absolute(state).map_err(ServerError::io("find", state))?;
        Ok(Self {
            config: dir.join("config.yaml"),
            staff_token: dir.join("staff-token"),
            staff_accounts: dir.join("staff-accounts.yaml"),
            staff_passwords: dir.join("staff-passwords"),
            dir,
        })
    }

    /// The state folder, as an absolute path.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The configuration that a role is started with: the same with the role's own account.
    pub(crate) fn config_of(&self, role: &str) -> PathBuf {
        self.dir.join(format!("{role}.yaml"))
    }

    /// Writes the configurations for these servers. It writes a random staff token and accounts with random passwords as well,
    /// unless those of an earlier start are kept; a `fresh` start keeps none.
    pub(crate) fn write(&self, fresh: bool, servers: &Servers) -> Result<(), ServerError> {
        files::own_dir(&self.dir)?;
        if fresh || !self.staff_token.is_file() {
            files::write(&self.staff_token, &(files::random_word() + "\n"), None)?;
        }
        if fresh || !self.staff_accounts.is_file() || !self.staff_passwords.is_file() {
            self.write_accounts()?;
        }
        let (postgres, rabbitmq) = (&servers.postgres, &servers.rabbitmq);
        let rabbitmq = (rabbitmq.amqp_port(), rabbitmq.password().expose_secret());
        let database = |user| {
            let (user, password) = postgres.account(user);
            database_text(postgres.port(), user, password.expose_secret())
        };
        let others = others_text(rabbitmq, &self.staff_token, &self.staff_accounts);
        let write =
            |path: &Path, database: String| files::write(path, &format!("{HEADER}{database}{others}"), None);
        write(&self.config, database(DATABASE.owner))?;
        for (role, account) in DATABASE_ROLES.iter().zip(DATABASE.accounts) {
            write(&self.config_of(role), database(account.user))?;
        }
        write(&self.config_of("notification-subscriber"), String::new())
    }

    fn write_accounts(&self) -> Result<(), ServerError> {
        let (mut accounts, mut passwords) = (String::new(), String::new());
        for (name, role) in STAFF {
            let password = files::random_word()[..PASSWORD_CHARS].to_owned();
            let salt = uuid::Uuid::new_v4().into_bytes();
            let hash = PasswordHash::new(&password, salt).map_err(|error| {
                ServerError::io("write", &self.staff_accounts)(std::io::Error::other(error))
            })?;
            accounts +=
                &format!("- name: {name}\n  role: {role}\n  password_hash: {hash}\n", hash = hash.as_str());
            passwords += &format!("{name} ({role}): {password}\n");
        }
        files::write(&self.staff_passwords, &passwords, None)?;
        files::write(&self.staff_accounts, &accounts, None)
    }

    /// Each account with its role and its password, as people read it.
    pub(crate) fn staff(&self) -> Vec<String> {
        files::read(&self.staff_passwords).unwrap_or_default().lines().map(str::to_owned).collect()
    }
}

/// Words all, as are the passwords of [`others_text`].
fn database_text(port: u16, user: &str, password: &str) -> String {
    format!(
        "database:\n  host: 127.0.0.1\n  port: {port}\n  user: {user}\n  password: {password}\n  database: {}\n",
        DATABASE.name
    )
}

/// RabbitMQ is given by its port and its password.
fn others_text((port, password): (u16, &str), staff_token: &Path, staff_accounts: &Path) -> String {
    // A YAML string in double quotes has JSON's escapes, so any path is safe in it.
    let [staff_token, staff_accounts] =
        [staff_token, staff_accounts].map(|path| serde_json::Value::from(path.to_string_lossy()));
    format!(
        "rabbitmq:\n  host: 127.0.0.1\n  port: {port}\n  user: {}\n  password: {password}\n\
         staff:\n  token_file: {staff_token}\n  accounts_file: {staff_accounts}\n",
        RabbitMqServer::USER
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_quotes_stays_one_yaml_string() {
        let text = others_text((2, "b"), Path::new("/a \"b\"/staff: token"), Path::new("/c"));
        let staff = "staff:\n  token_file: \"/a \\\"b\\\"/staff: token\"\n  accounts_file: \"/c\"\n";
        assert!(text.ends_with(staff), "{text}");
    }
}
