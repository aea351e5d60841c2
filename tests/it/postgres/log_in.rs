//! What a server is told by whoever logs in: the password to nobody who is not known, and nothing where none is asked for.

use super::order_service;
use crate::support::{TestEnv, blocking, new_state_dir, servers_options, store_options, takeout};
use private_servers::PostgresServer;
use restaurant_system::store::{Store, StoreOptions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// What PostgreSQL asks with, in its protocol.
const ASKS_IN_CLEAR: &[u8] = b"R\0\0\0\x08\0\0\0\x03";
const ASKS_FOR_MD5: &[u8] = b"R\0\0\0\x0c\0\0\0\x05salt";

/// Somebody who asks like this at the server's port: its address, and all that it is sent after the log-in has begun.
async fn listener(asks: &'static [u8]) -> (u16, tokio::task::JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut startup = vec![0; client.read_u32().await.unwrap() as usize - 4];
        client.read_exact(&mut startup).await.unwrap();
        assert_eq!(startup[..4], [0, 3, 0, 0], "the log-in, and no question for TLS");
        // In two parts, as a network may have it.
        client.write_all(&asks[..6]).await.unwrap();
        tokio::task::yield_now().await;
        client.write_all(&asks[6..]).await.unwrap();
        let mut told = Vec::new();
        client.read_to_end(&mut told).await.unwrap();
        told
    });
    (port, heard)
}

/// What becomes of one connection.
async fn outcome(options: StoreOptions) -> Result<(), String> {
    let store = Store::new(options, CancellationToken::new()).unwrap();
    store.ping().await.map_err(|error| error.to_string())
}

#[tokio::test]
async fn who_listens_at_the_servers_port_is_not_told_the_password() {
    for (asks, what) in
        [(ASKS_IN_CLEAR, "the password in clear text"), (ASKS_FOR_MD5, "the password's MD5 hash")]
    {
        let (port, heard) = listener(asks).await;
        let said = outcome(store_options(port, "restaurant_db")).await.unwrap_err();
        let expected = format!("asks for {what} over a connection without TLS, and is not told it");
        assert!(said.contains(&expected) && said.contains("scram-sha-256"), "{said}");
        assert!(!said.contains("restaurant_pass"), "{said}");
        assert_eq!(heard.await.unwrap(), b"", "{what}");
    }
}

/// A server whose `pg_hba.conf` a test writes.
struct Server {
    postgres: Arc<PostgresServer>,
    home: PathBuf,
    sockets: PathBuf,
    _dir: TempDir,
}

impl Server {
    async fn start() -> Self {
        let dir = new_state_dir();
        let (home, sockets) = (dir.path().join("postgres"), dir.path().join("sockets"));
        std::fs::create_dir(&sockets).unwrap();
        std::fs::set_permissions(&sockets, std::fs::Permissions::from_mode(0o777)).unwrap();
        let mut options = servers_options().postgres;
        options.socket_folder = Some(sockets.clone());
        let path = home.clone();
        let postgres = blocking(move || PostgresServer::start(&path, options).unwrap()).await;
        Self { postgres: Arc::new(postgres), home, sockets, _dir: dir }
    }

    /// Has it ask `restaurant_user` like this, over the network and at its socket.
    async fn ask(&self, method: &str) {
        let me = nix::unistd::User::from_uid(nix::unistd::geteuid()).unwrap().unwrap().name;
        let (data, at_socket) =
            (self.home.join("data"), if method == "peer" { "peer map=here" } else { method });
        let over_network = if method == "peer" { "reject" } else { method };
        let rules = format!(
            "local all restaurant_user {at_socket}\nhost all restaurant_user 127.0.0.1/32 {over_network}\n\
             host all all 127.0.0.1/32 scram-sha-256\n"
        );
        std::fs::write(data.join("pg_hba.conf"), rules).unwrap();
        std::fs::write(data.join("pg_ident.conf"), format!("here {me} restaurant_user\n")).unwrap();
        // It is started again, and not asked to read them: only then has it read them when this is over.
        let postgres = Arc::clone(&self.postgres);
        blocking(move || postgres.restart().unwrap()).await;
    }

    /// Has it keep the password of `restaurant_user` like this.
    async fn keep_password_as(&self, encryption: &str) {
        let sql = format!(
            "set password_encryption = '{encryption}'; alter role restaurant_user password 'restaurant_pass'"
        );
        let postgres = Arc::clone(&self.postgres);
        blocking(move || postgres.query(&sql).unwrap()).await;
    }

    fn options(&self) -> StoreOptions {
        let mut options = store_options(self.postgres.port(), "restaurant_db");
        options.server.connect_timeout = Duration::from_secs(10);
        options
    }

    /// The same through its socket.
    fn socket_options(&self) -> StoreOptions {
        let mut options = self.options();
        options.server.hosts[0].host = self.sockets.to_str().unwrap().to_owned();
        options
    }
}

#[tokio::test]
async fn without_tls_the_password_is_proved_by_scram_alone_also_at_a_socket() {
    let server = Server::start().await;
    for (method, encryption, refused) in [
        ("password", "scram-sha-256", Some("clear text")),
        ("md5", "md5", Some("MD5")),
        // PostgreSQL asks for what the password is kept as.
        ("md5", "scram-sha-256", None),
        ("scram-sha-256", "scram-sha-256", None),
    ] {
        server.keep_password_as(encryption).await;
        server.ask(method).await;
        for options in [server.options(), server.socket_options()] {
            let (found, hosts) = (outcome(options.clone()).await, options.server.hosts);
            let said = found.err();
            match refused {
                None => assert_eq!(said, None, "{method} {hosts:?}"),
                Some(what) => assert!(
                    said.as_ref().is_some_and(|said| said.contains(what)),
                    "{method} {hosts:?} {said:?}"
                ),
            }
        }
    }
    let mut without_password = server.options();
    without_password.server.password = "".into();
    let said = outcome(without_password).await.unwrap_err();
    assert!(said.contains("none is configured"), "{said}");
}

#[tokio::test]
async fn at_a_socket_whose_users_postgresql_knows_no_password_is_needed() {
    let server = Server::start().await;
    server.ask("peer").await;
    let env = TestEnv::new().await;
    let over_network = format!(
        "  host: 127.0.0.1\n  port: {}\n  user: restaurant_user\n  password: restaurant_pass\n  database: {}\n",
        env.servers.postgres.port(),
        env.database
    );
    let port = server.postgres.port();
    // A list has the server looked at, and one host has not.
    for hosts in
        [server.sockets.display().to_string(), format!("[{}, \"127.0.0.1:1\"]", server.sockets.display())]
    {
        env.write_config("");
        // With a list the password is the default, which nobody asks for.
        env.edit_config(|text| text.replace(&over_network, &format!("  host: {hosts}\n  port: {port}\n")));
        let (_role, http) = order_service(&env).await;
        http.place(&takeout()).await;
    }
}

#[tokio::test]
async fn a_socket_without_a_server_is_named() {
    let mut options = store_options(5433, "restaurant_db");
    options.server.hosts[0].host = "/nowhere".to_owned();
    let said = outcome(options).await.unwrap_err();
    assert!(said.contains("cannot connect to /nowhere/.s.PGSQL.5433: No such file"), "{said}");
}
