//! A pseudo-terminal with the program on it, and somebody at its keys.

use super::screen::Screen;
use crate::support::{DEADLINE, Signal, eventually_ok};
use nix::sys::signal::kill;
use nix::unistd::Pid;
use private_servers::watch;
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Instant;

pub(super) struct Terminal {
    /// The end of the person.
    person: File,
    /// The program's end, to be asked how it is set.
    tty: OwnedFd,
    child: Child,
    screen: Arc<Mutex<Screen>>,
}

impl Terminal {
    /// Runs the command on a terminal of this size, as a job of its own.
    pub(super) fn run(mut command: Command, columns: u16, rows: u16) -> Self {
        let person = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&person).unwrap();
        unlockpt(&person).unwrap();
        let name = ptsname(&person, Vec::new()).unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let tty = rustix::fs::open(name, flags, Mode::empty()).unwrap();
        let end = || Stdio::from(tty.try_clone().unwrap());
        let person = File::from(person);
        let screen = Arc::new(Mutex::new(Screen::new()));
        tcsetwinsize(&tty, size(columns, rows)).unwrap();
        command.stdin(end()).stdout(end()).stderr(end()).process_group(0).env_remove("NO_COLOR");
        let child = command.spawn().unwrap();
        watch::guard(&[child.id()]).unwrap();
        let terminal = Self { person, tty, child, screen };
        terminal.read();
        terminal
    }

    /// Has a thread show what is written, until the terminal is gone.
    fn read(&self) {
        let (mut person, screen) = (self.person.try_clone().unwrap(), Arc::clone(&self.screen));
        std::thread::spawn(move || {
            let (mut bytes, mut rest) = ([0; 4096], Vec::new());
            while let Ok(length @ 1..) = person.read(&mut bytes) {
                rest.extend_from_slice(&bytes[..length]);
                // A character may be cut by the end of what was read.
                let whole = match std::str::from_utf8(&rest) {
                    Ok(text) => text.len(),
                    Err(error) => error.valid_up_to(),
                };
                let text: Vec<u8> = rest.drain(..whole).collect();
                screen.lock().unwrap().write(&String::from_utf8(text).unwrap());
            }
        });
    }

    pub(super) fn picture(&self) -> String {
        self.screen.lock().unwrap().text()
    }

    /// Waits until this text is to be seen.
    pub(super) async fn shows(&self, text: &str) {
        let seen = || {
            let picture = self.picture();
            std::future::ready(if picture.contains(text) { Ok(()) } else { Err(format!("\n{picture}\n")) })
        };
        eventually_ok(&format!("{text:?} on the board"), seen).await;
    }

    pub(super) fn press(&mut self, keys: &str) {
        self.person.write_all(keys.as_bytes()).unwrap();
    }

    pub(super) fn resize(&self, columns: u16, rows: u16) {
        tcsetwinsize(&self.tty, size(columns, rows)).unwrap();
        // The terminal tells those alone whose own it is.
        self.signal(Signal::SIGWINCH);
    }

    pub(super) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    /// Whether the terminal shows what is typed, as a shell expects it.
    pub(super) fn echoes(&self) -> bool {
        let modes = LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG;
        tcgetattr(&self.tty).unwrap().local_modes.contains(modes)
    }

    /// Whether the shell's own screen is there, with a cursor.
    pub(super) fn is_whole(&self) -> bool {
        let deadline = Instant::now() + DEADLINE;
        while Instant::now() < deadline {
            let screen = self.screen.lock().unwrap();
            if !screen.is_alternate && screen.has_cursor {
                return true;
            }
            drop(screen);
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        false
    }

    /// Waits until the program is stopped, not ended.
    pub(super) async fn stops(&self) {
        let stat = format!("/proc/{}/stat", self.child.id());
        let stopped = || {
            let text = std::fs::read_to_string(&stat).unwrap();
            let state = text.rsplit_once(") ").unwrap().1[..1].to_owned();
            std::future::ready(if state == "T" { Ok(()) } else { Err(state) })
        };
        eventually_ok("the board is stopped", stopped).await;
    }

    /// Waits until the program has ended; its exit code.
    pub(super) async fn ends(&mut self) -> Option<i32> {
        let status = eventually_ok("the board ends", || {
            std::future::ready(self.child.try_wait().unwrap().ok_or("it runs"))
        })
        .await;
        watch::release(&[self.child.id()]).unwrap();
        status.code()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = watch::release(&[self.child.id()]);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn size(columns: u16, rows: u16) -> Winsize {
    Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}
