//! What `dev` keeps in its state folder beside the servers' files: the roles' configuration and the staff token.

use super::account::write_private;
use super::error::DevError;
use super::run::DevOptions;
use super::servers::{Servers, create_passable_dir};
use super::{DATABASE_NAME, DATABASE_PASSWORD, DATABASE_USER};
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

    /// Writes the configuration for these servers, and a random staff token unless the one from before is kept.
    pub(crate) fn write(&self, options: &DevOptions, servers: &Servers) -> Result<(), DevError> {
        create_passable_dir(&self.dir)?;
        if options.fresh || !self.staff_token.is_file() {
            let token = format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple());
            write_private(&self.staff_token, &(token + "\n"))?;
        }
        let (postgres, rabbitmq) = (servers.postgres.port(), servers.rabbitmq.amqp_port());
        write_private(&self.config, &config_text(postgres, rabbitmq, &self.staff_token))
    }
}

fn config_text(postgres: u16, rabbitmq: u16, staff_token: &Path) -> String {
    // A YAML string in double quotes has JSON's escapes, so any path is safe in it.
    let staff_token = serde_json::Value::from(staff_token.to_string_lossy());
    format!(
        "# Written by `restaurant-system dev` at each start: changes are lost.\n\
         database:\n  host: 127.0.0.1\n  port: {postgres}\n  user: {DATABASE_USER}\n  password: {DATABASE_PASSWORD}\n  \
         database: {DATABASE_NAME}\n\
         rabbitmq:\n  host: 127.0.0.1\n  port: {rabbitmq}\n  user: guest\n  password: guest\n\
         staff:\n  token_file: {staff_token}\n"
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_quotes_stays_one_yaml_string() {
        let text = config_text(1, 2, Path::new("/a \"b\"/staff: token"));
        assert!(text.ends_with("staff:\n  token_file: \"/a \\\"b\\\"/staff: token\"\n"), "{text}");
    }
}
