//! Where Prometheus finds the roles.

use std::path::Path;

use private_servers::{ServerError, files, ports};
use serde_json::json;

use super::roles::RoleCommand;

/// Gives each role a port for its metrics, and writes `targets`: a file for Prometheus's `file_sd_configs`.
pub(crate) fn with_ports(roles: &mut [RoleCommand], targets: &Path) -> Result<(), ServerError> {
    let mut listed = Vec::with_capacity(roles.len());
    for role in roles {
        let [port] = ports::free_ports()?;
        role.args.extend(["--metrics-port".into(), port.to_string().into()]);
        let (kind, name) = role.name.split_once(' ').unwrap_or((&role.name, ""));
        let target = format!("127.0.0.1:{port}");
        listed.push(json!({"targets": [target], "labels": {"role": kind, "name": name}}));
    }
    files::write(targets, &format!("{:#}\n", json!(listed)), None)
}
