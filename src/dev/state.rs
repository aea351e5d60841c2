//! The state folder of `dev`, beside the servers' files: the roles' configuration and the staff token.

use super::error::DevError;
use super::files;
use super::servers::Servers;
use super::{BROKER_USER, DATABASE_NAME, DATABASE_USER};
use secrecy::ExposeSecret;
use std::path::{Path, PathBuf};

/// The files that the roles and their users need; each for its owner only.
#[derive(Debug, Clone)]
pub(crate) struct StateFiles {
    dir: PathBuf,
    /// The configuration that all roles are started with.
    pub(crate) config: PathBuf,
    /// The token that staff calls need.
    pub(crate) staff_token: PathBuf,
}

impl StateFiles {
    /// Where the files are in a state folder, as absolute paths: they are written down for use from anywhere.
    pub(crate) fn in_dir(state: &Path) -> Result<Self, DevError> {
        let dir = std::path::absolute(state).map_err(DevError::io("find", state))?;
        Ok(Self { config: dir.join("config.yaml"), staff_token: dir.join("staff-token"), dir })
    }

    /// The state folder, as an absolute path.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Writes the configuration for these servers, and a random staff token unless the one from before is kept, as it is where this start is not a
    /// `fresh` one.
    pub(crate) fn write(&self, fresh: bool, servers: &Servers) -> Result<(), DevError> {
        files::own_dir(&self.dir)?;
        if fresh || !self.staff_token.is_file() {
            files::write(&self.staff_token, &(files::random_word() + "\n"), None)?;
        }
        let (postgres, rabbitmq) = (&servers.postgres, &servers.rabbitmq);
        let postgres = (postgres.port(), postgres.password().expose_secret());
        let rabbitmq = (rabbitmq.amqp_port(), rabbitmq.password().expose_secret());
        files::write(&self.config, &config_text(postgres, rabbitmq, &self.staff_token), None)
    }
}

/// Each server is given by its port and its password, which are words.
fn config_text(postgres: (u16, &str), rabbitmq: (u16, &str), staff_token: &Path) -> String {
    let ((postgres, database_password), (rabbitmq, broker_password)) = (postgres, rabbitmq);
    // A YAML string in double quotes has JSON's escapes, so any path is safe in it.
    let staff_token = serde_json::Value::from(staff_token.to_string_lossy());
    format!(
        "# Written by `restaurant-system dev` at each start: changes are lost.\n\
         database:\n  host: 127.0.0.1\n  port: {postgres}\n  user: {DATABASE_USER}\n  password: {database_password}\n  \
         database: {DATABASE_NAME}\n\
         rabbitmq:\n  host: 127.0.0.1\n  port: {rabbitmq}\n  user: {BROKER_USER}\n  password: {broker_password}\n\
         staff:\n  token_file: {staff_token}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_quotes_stays_one_yaml_string() {
        let text = config_text((1, "a"), (2, "b"), Path::new("/a \"b\"/staff: token"));
        assert!(text.ends_with("staff:\n  token_file: \"/a \\\"b\\\"/staff: token\"\n"), "{text}");
    }
}
