//! The state folder of `dev`, beside the servers' files: the roles' configuration, the staff's accounts and the staff token.

use std::path::{Path, PathBuf};

use private_servers::{RabbitMqServer, ServerError, Servers, files};
use secrecy::ExposeSecret;

use super::servers::DATABASE;
use crate::domain::{PasswordHash, StaffRole};

/// What is on the menu until somebody changes the copy in the state folder.
const EXAMPLE_MENU: &str = include_str!("../../contrib/menu.example.yaml");
/// The gateway is on this machine, and holds connections for many.
const BEHIND_GATEWAY: &str = "http:\n  trusted_proxies: [127.0.0.1]\n";
/// As many as a gateway passes on (`gateway.max_event_streams`).
const STREAMS: &str = "tracking:\n  max_event_streams: 2500\n";
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
    /// What is on the menu.
    pub(crate) menu: PathBuf,
    /// Where Prometheus finds the roles.
    pub(crate) targets: PathBuf,
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
            menu: dir.join("menu.yaml"),
            targets: dir.join("prometheus-targets.json"),
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

    /// Writes the configurations for these servers, with links that lead customers to the `gateway`. It writes the example's
    /// menu, a random staff token and accounts with random passwords as well, unless those of an earlier start are kept; a
    /// `fresh` start keeps none.
    pub(crate) fn write(&self, fresh: bool, servers: &Servers, gateway: &str) -> Result<(), ServerError> {
        files::own_dir(&self.dir)?;
        if fresh || !self.staff_token.is_file() {
            files::write(&self.staff_token, &(files::random_word() + "\n"), None)?;
        }
        if fresh || !self.staff_accounts.is_file() || !self.staff_passwords.is_file() {
            self.write_accounts()?;
        }
        if fresh || !self.menu.is_file() {
            files::write(&self.menu, EXAMPLE_MENU, None)?;
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
        let menu = yaml_text(&self.menu);
        let order = format!("{BEHIND_GATEWAY}menu:\n  file: {menu}\nrestaurant:\n  public_url: {gateway}\n");
        let tracking = format!("{BEHIND_GATEWAY}{STREAMS}");
        let own = [&*order, &tracking, ""];
        for ((role, account), more) in DATABASE_ROLES.iter().zip(DATABASE.accounts).zip(own) {
            write(&self.config_of(role), database(account.user) + more)?;
        }
        write(&self.config_of("notification-subscriber"), String::new())?;
        files::write(&self.config_of("web-gateway"), HEADER, None)
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
    let [staff_token, staff_accounts] = [staff_token, staff_accounts].map(yaml_text);
    format!(
        "rabbitmq:\n  host: 127.0.0.1\n  port: {port}\n  user: {}\n  password: {password}\n\
         staff:\n  token_file: {staff_token}\n  accounts_file: {staff_accounts}\n",
        RabbitMqServer::USER
    )
}

/// A YAML string in double quotes has JSON's escapes, so any path is safe in it.
fn yaml_text(path: &Path) -> String {
    serde_json::Value::from(path.to_string_lossy()).to_string()
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
