//! Finds the installed PostgreSQL and RabbitMQ programs: on `PATH` first, then where Debian keeps those that it
//! leaves off `PATH`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::error::ServerError;

/// Where programs are looked for.
#[derive(Debug, Clone)]
pub struct ProgramSearch {
    /// A list of folders in the form of `PATH`.
    pub path: OsString,
    /// The folder below which `lib/postgresql/*/bin` and the like are looked for; `/usr` on a real system.
    pub prefix: PathBuf,
}

impl Default for ProgramSearch {
    /// `PATH` of this process, and `/usr`.
    fn default() -> Self {
        Self { path: std::env::var_os("PATH").unwrap_or_default(), prefix: PathBuf::from("/usr") }
    }
}

/// The programs of one PostgreSQL installation.
#[derive(Debug, Clone)]
pub(crate) struct PostgresPrograms {
    pub(crate) initdb: PathBuf,
    pub(crate) postgres: PathBuf,
    pub(crate) psql: PathBuf,
}

/// The programs of one RabbitMQ installation.
#[derive(Debug, Clone)]
pub(crate) struct RabbitMqPrograms {
    /// The real start script, not a distribution's wrapper around it.
    pub(crate) server: PathBuf,
    /// Erlang's port mapper daemon.
    pub(crate) epmd: PathBuf,
}

impl ProgramSearch {
    /// Finds a folder that has `initdb`, `postgres` and `psql` together.
    pub(crate) fn postgres(&self) -> Result<PostgresPrograms, ServerError> {
        let on_path = self.on_path("postgres").filter_map(|p| Some(p.parent()?.to_path_buf()));
        let installed = ["lib/postgresql", "lib64/postgresql"].into_iter();
        let installed = installed.flat_map(|dir| versions(&self.prefix.join(dir))).map(|dir| dir.join("bin"));
        let complete = |dir: &PathBuf| ["initdb", "postgres", "psql"].iter().all(|p| dir.join(p).is_file());
        let Some(bin) = on_path.chain(installed).find(complete) else {
            return Err(ServerError::MissingProgram { program: "postgres" });
        };
        Ok(PostgresPrograms {
            initdb: bin.join("initdb"),
            postgres: bin.join("postgres"),
            psql: bin.join("psql"),
        })
    }

    /// Finds the real `rabbitmq-server` script and Erlang's `epmd`.
    ///
    /// Distributions put a wrapper of the same name on `PATH`, Debian's even with `rabbitmq-env` beside it; called by
    /// another user or name than it expects, it calls itself without end. The real one is told by its text: it reads
    /// the `rabbitmq-env` beside it and starts the broker itself.
    pub(crate) fn rabbitmq(&self) -> Result<RabbitMqPrograms, ServerError> {
        let on_path = self.on_path("rabbitmq-server");
        let installed = versions(&self.prefix.join("lib/rabbitmq/lib"));
        let installed = installed.into_iter().map(|dir| dir.join("sbin/rabbitmq-server"));
        let real = |script: &PathBuf| {
            let text = std::fs::read_to_string(script).unwrap_or_default();
            text.contains("rabbitmq-env") && text.contains("start_rabbitmq_server")
        };
        let Some(server) = on_path.chain(installed).find(real) else {
            return Err(ServerError::MissingProgram { program: "rabbitmq-server" });
        };
        let epmd = self.epmd(&server)?;
        Ok(RabbitMqPrograms { server, epmd })
    }

    /// `epmd` from `PATH`, from the Erlang that the RabbitMQ scripts name (Nix), or from where Debian has Erlang.
    fn epmd(&self, rabbitmq_server: &Path) -> Result<PathBuf, ServerError> {
        let env_script = std::fs::read_to_string(rabbitmq_server.with_file_name("rabbitmq-env"));
        let named = env_script.unwrap_or_default();
        let named = named.lines().take(10).filter_map(|line| line.strip_prefix("PATH=")).collect::<Vec<_>>();
        let named = named.iter().flat_map(|path| path.split(':')).map(|dir| Path::new(dir).join("epmd"));
        let installed = versions(&self.prefix.join("lib/erlang")).into_iter().map(|dir| dir.join("bin/epmd"));
        self.on_path("epmd")
            .chain(named)
            .chain(installed)
            .find(|epmd| epmd.is_file())
            .ok_or(ServerError::MissingProgram { program: "epmd" })
    }

    /// Every file of this name on `PATH`, symbolic links followed.
    fn on_path<'a>(&'a self, program: &'a str) -> impl Iterator<Item = PathBuf> + 'a {
        std::env::split_paths(&self.path).filter_map(move |dir| dir.join(program).canonicalize().ok())
    }
}

/// The folders inside `dir`, the one with the highest version number in its name first.
fn versions(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    found.sort_by_cached_key(|path| std::cmp::Reverse(version_of(path)));
    found
}

/// The numbers in a folder's name: `rabbitmq_server-3.10.8` is `[3, 10, 8]`.
fn version_of(path: &Path) -> Vec<u32> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(prefix: &Path) -> ProgramSearch {
        ProgramSearch { path: OsString::new(), prefix: prefix.to_path_buf() }
    }

    fn touch(path: &Path) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "").unwrap();
    }

    #[test]
    fn a_missing_program_is_named_with_the_command_that_installs_it() {
        let dir = tempfile::tempdir().unwrap();
        let text = search(dir.path()).postgres().unwrap_err().to_string();
        assert!(
            text.contains("`postgres`") && text.contains("apt-get install postgresql rabbitmq-server"),
            "{text}"
        );
        let text = search(dir.path()).rabbitmq().unwrap_err().to_string();
        assert!(text.contains("`rabbitmq-server` was not found"), "{text}");
    }

    #[test]
    fn the_newest_complete_installation_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        for version in ["9", "15", "16"] {
            for program in ["initdb", "postgres", "psql"] {
                if (version, program) != ("16", "initdb") {
                    touch(&dir.path().join(format!("lib/postgresql/{version}/bin/{program}")));
                }
            }
        }
        let found = search(dir.path()).postgres().unwrap();
        assert!(found.initdb.ends_with("lib/postgresql/15/bin/initdb"), "{found:?}");
    }

    const REAL_SCRIPT: &str =
        "#!/bin/sh\n. \"$SCRIPTS_DIR/rabbitmq-env\"\nstart_rabbitmq_server() { exec erl; }\n";

    /// Debian's layout: the script on `PATH` is a link to a wrapper, which has a `rabbitmq-env` beside it.
    #[test]
    fn a_wrapper_is_passed_over_for_the_real_script() {
        let dir = tempfile::tempdir().unwrap();
        let bin = dir.path().join("lib/rabbitmq/bin");
        touch(&bin.join("rabbitmq-env"));
        std::fs::write(bin.join("rabbitmq-script-wrapper"), "/usr/lib/rabbitmq/bin/${SCRIPT} \"$@\"\n")
            .unwrap();
        touch(&dir.path().join("sbin/epmd"));
        let link = dir.path().join("sbin/rabbitmq-server");
        std::os::unix::fs::symlink(bin.join("rabbitmq-script-wrapper"), link).unwrap();
        let real = dir.path().join("lib/rabbitmq/lib/rabbitmq_server-3.10.8/sbin");
        touch(&real.join("rabbitmq-env"));
        std::fs::write(real.join("rabbitmq-server"), REAL_SCRIPT).unwrap();
        let path = dir.path().join("sbin").into_os_string();
        let search = ProgramSearch { path, prefix: dir.path().to_path_buf() };
        assert_eq!(search.rabbitmq().unwrap().server, real.join("rabbitmq-server"));

        std::fs::remove_dir_all(dir.path().join("lib/rabbitmq/lib")).unwrap();
        assert!(search.rabbitmq().is_err());
    }

    #[test]
    fn epmd_is_found_where_the_rabbitmq_scripts_look_for_it() {
        let dir = tempfile::tempdir().unwrap();
        touch(&dir.path().join("erlang/bin/epmd"));
        let sbin = dir.path().join("lib/rabbitmq/lib/rabbitmq_server-4.1.0/sbin");
        touch(&sbin.join("rabbitmq-env"));
        std::fs::write(sbin.join("rabbitmq-server"), REAL_SCRIPT).unwrap();
        let script = format!("#!/bin/sh\nPATH={}/erlang/bin:/bin${{PATH:+:}}$PATH/\n", dir.path().display());
        std::fs::write(sbin.join("rabbitmq-env"), script).unwrap();
        let found = search(dir.path()).rabbitmq().unwrap();
        assert_eq!(found.epmd, dir.path().join("erlang/bin/epmd"));
    }
}
