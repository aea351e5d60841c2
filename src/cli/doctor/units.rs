//! The units of systemd, as far as it runs here and has them.

use std::path::Path;
use std::time::Duration;

use tokio::process::Command;

use super::check::{Check, Finding};

/// As `systemd/` and the NixOS module call them.
const UNITS: [&str; 7] = [
    "order-service.service",
    "tracking-service.service",
    "web-gateway.service",
    "notification-subscriber.service",
    "restaurant-system-migrate.service",
    "kitchen-worker@*.service",
    "notification-subscriber@*.service",
];
const PROPERTIES: &str = "--property=Id,LoadState,ActiveState,SubState,UnitFileState,Result";
/// systemd answers at once, unless it hangs itself.
const PATIENCE: Duration = Duration::from_secs(3);
/// There while systemd is this machine's init.
const BOOTED: &str = "/run/systemd/system";

/// Asks systemd.
///
/// # Errors
/// Why it cannot be asked.
pub(super) async fn ask() -> Result<String, String> {
    if !Path::new(BOOTED).exists() {
        return Err("systemd does not run here".to_owned());
    }
    let mut command = Command::new("systemctl");
    command.args(["show", "--no-pager", PROPERTIES]).args(UNITS).kill_on_drop(true);
    match tokio::time::timeout(PATIENCE, command.output()).await {
        Ok(Ok(output)) => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        Ok(Err(error)) => Err(format!("systemctl cannot be run: {error}")),
        Err(_) => Err(format!("systemctl does not answer within {} s", PATIENCE.as_secs())),
    }
}

pub(super) fn units(asked: &Result<String, String>) -> Check {
    let answer = match asked {
        Ok(answer) => answer,
        Err(why) => return Check::unknown("units", why),
    };
    let units: Vec<&str> =
        answer.split("\n\n").filter(|unit| property(unit, "LoadState") == "loaded").collect();
    if units.is_empty() {
        return Check::unknown("units", "none of them is installed here");
    }
    let findings = units.iter().filter_map(|unit| of_unit(unit)).collect();
    let active = units.iter().filter(|unit| property(unit, "ActiveState") == "active").count();
    Check::of("units", format!("{active} of {} are active", units.len()), findings)
}

fn of_unit(unit: &str) -> Option<Finding> {
    let name = property(unit, "Id");
    let log = format!("journalctl -u {name} -n 50 says why; then systemctl restart {name}");
    match (property(unit, "ActiveState"), property(unit, "SubState")) {
        ("failed", _) => {
            Some(Finding::problem(format!("{name} has failed ({})", property(unit, "Result")), log))
        }
        (_, "auto-restart") => {
            Some(Finding::problem(format!("{name} ends and is started again and again"), log))
        }
        // One that runs once and is done is inactive as well.
        ("inactive", _) if property(unit, "UnitFileState") == "enabled" && !name.contains("migrate") => {
            Some(Finding::warning(
                format!("{name} is enabled and does not run"),
                format!("systemctl start {name}"),
            ))
        }
        _ => None,
    }
}

fn property<'a>(unit: &'a str, name: &str) -> &'a str {
    let mut lines = unit.lines();
    lines.find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::check::State;
    use super::*;

    fn unit(id: &str, active: &str, sub: &str) -> String {
        format!(
            "Id={id}.service\nLoadState=loaded\nActiveState={active}\nSubState={sub}\nUnitFileState=enabled\nResult=exit-code\n"
        )
    }

    #[test]
    fn units_that_fail_restart_or_do_not_run_are_named() {
        for (sub, active, state) in [
            ("running", "active", State::Ok),
            ("failed", "failed", State::Problem),
            ("auto-restart", "activating", State::Problem),
            ("dead", "inactive", State::Warning),
        ] {
            let answer =
                [unit("order-service", active, sub), unit("kitchen-worker@anna", "active", "running")]
                    .join("\n");
            let check = units(&Ok(answer));
            assert_eq!(check.state, state, "{check:?}");
            assert!(state == State::Ok || check.summary.contains("order-service.service"), "{check:?}");
        }
    }

    #[test]
    fn units_that_are_not_installed_are_no_fault() {
        let answer = "Id=order-service.service\nLoadState=not-found\nActiveState=inactive\nSubState=dead\n";
        assert_eq!(units(&Ok(answer.to_owned())).state, State::Unknown);
        assert_eq!(units(&Err("systemd does not run here".to_owned())).state, State::Unknown);
    }
}
