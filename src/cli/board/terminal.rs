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

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use rustix::fs::{Mode, OFlags};
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    use rustix::termios::LocalModes;

    use super::*;

    /// A terminal and the end that a person sits at.
    fn terminal() -> (OwnedFd, File) {
        let person = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&person).unwrap();
        unlockpt(&person).unwrap();
        let name = ptsname(&person, Vec::new()).unwrap();
        let tty = rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        (tty, File::from(person))
    }

    fn modes(tty: &impl AsFd) -> LocalModes {
        tcgetattr(tty).unwrap().local_modes
    }

    /// Reads what was written to the terminal, which is to be this.
    fn expect(person: &mut File, text: &str) {
        let mut bytes = vec![0; text.len()];
        person.read_exact(&mut bytes).unwrap();
        assert_eq!(String::from_utf8_lossy(&bytes), text);
    }

    /// A panic gives back the terminal that was taken last: no two tests have one at a time.
    static ALONE: Mutex<()> = Mutex::new(());
    const TAKEN: &str = "\u{1b}[?1049h\u{1b}[?25l";
    const GIVEN_BACK: &str = "\u{1b}[?25h\u{1b}[?1049l";

    #[test]
    fn a_terminal_is_as_it_was_once_it_is_given_back() {
        let _alone = locked(&ALONE);
        let (tty, mut person) = terminal();
        let again = tty.try_clone().unwrap();
        let before = modes(&again);
        assert!(before.contains(LocalModes::ICANON | LocalModes::ECHO));
        let screen = Screen::take(tty).unwrap();
        assert!(!modes(&again).intersects(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG));
        expect(&mut person, TAKEN);
        screen.give_back();
        assert_eq!(modes(&again), before);
        expect(&mut person, GIVEN_BACK);
        screen.take_again().unwrap();
        assert!(!modes(&again).contains(LocalModes::ECHO));
        expect(&mut person, TAKEN);
        drop(screen);
        assert_eq!(modes(&again), before);
        expect(&mut person, GIVEN_BACK);
    }

    #[test]
    fn a_panic_gives_the_terminal_back_before_it_is_told() {
        let _alone = locked(&ALONE);
        let (tty, mut person) = terminal();
        let again = tty.try_clone().unwrap();
        let before = modes(&again);
        let screen = Screen::take(tty).unwrap();
        expect(&mut person, TAKEN);
        let panicked = catch_unwind(AssertUnwindSafe(|| panic!("of a test, while a terminal is taken")));
        assert!(panicked.is_err());
        assert_eq!(modes(&again), before, "the screen is still held, so that only the panic gave it back");
        expect(&mut person, GIVEN_BACK);
        drop(screen);
    }

    #[test]
    fn what_is_no_terminal_is_refused() {
        let file = tempfile::tempfile().unwrap();
        assert!(Screen::take(file.into()).is_err());
    }
}
