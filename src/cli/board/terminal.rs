//! The terminal while it belongs to the board: raw, on its other screen, and as it was again however the board ends.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};

use daemon::sync::locked;
use ratatui::crossterm::cursor::{Hide, Show};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

/// A terminal that is taken, until this is dropped or the program panics.
pub(super) struct Screen(Arc<Taken>);

struct Taken {
    tty: File,
    before: Termios,
    is_taken: AtomicBool,
}

/// The terminal that a panic gives back.
static LATEST: Mutex<Weak<Taken>> = Mutex::new(Weak::new());

impl Screen {
    /// Takes the terminal.
    ///
    /// # Errors
    /// It is none.
    pub(super) fn take(tty: OwnedFd) -> io::Result<Self> {
        let before = tcgetattr(&tty)?;
        let taken = Arc::new(Taken { tty: File::from(tty), before, is_taken: AtomicBool::new(false) });
        *locked(&LATEST) = Arc::downgrade(&taken);
        give_back_on_panic();
        let screen = Self(taken);
        screen.take_again()?;
        Ok(screen)
    }

    /// Takes the terminal after it was given back, also where somebody else has changed it meanwhile.
    pub(super) fn take_again(&self) -> io::Result<()> {
        let mut raw = self.0.before.clone();
        raw.make_raw();
        tcsetattr(self.0.tty.as_fd(), OptionalActions::Now, &raw)?;
        self.0.is_taken.store(true, Ordering::Release);
        execute!(&self.0.tty, EnterAlternateScreen, Hide)
    }

    /// Makes the terminal as it was.
    pub(super) fn give_back(&self) {
        self.0.give_back();
    }

    /// Where the picture is written to.
    pub(super) fn writer(&self) -> io::Result<File> {
        self.0.tty.try_clone()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.0.give_back();
    }
}

impl Taken {
    fn give_back(&self) {
        if self.is_taken.swap(false, Ordering::AcqRel) {
            // Nothing is left to do where the terminal is gone.
            let _ = execute!(&self.tty, Show, LeaveAlternateScreen);
            let _ = (&self.tty).flush();
            let _ = tcsetattr(self.tty.as_fd(), OptionalActions::Now, &self.before);
        }
    }
}

/// A panic says what it is about on the terminal as it was, of which a person can read it.
fn give_back_on_panic() {
    static INSTALLED: OnceLock<()> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        let say = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if let Some(taken) = locked(&LATEST).upgrade() {
                taken.give_back();
            }
            say(info);
        }));
    });
}
