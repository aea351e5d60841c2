//! The board on a terminal: keys, changes and signals come in, pictures and calls go out.

use std::fs::File;
use std::io::{self, BufWriter};
use std::os::fd::AsFd;
use std::time::Duration;

use jiff::Timestamp;
use nix::sys::signal::{Signal, killpg, raise};
use nix::unistd::{getpgrp, getpid, getsid};
use ratatui::Terminal;
use ratatui::backend::{Backend, CrosstermBackend};
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::keys::Key;
use super::model::{Board, Effect, Told};
use super::palette::Palette;
use super::terminal::Screen;
use super::{BoardError, calls, view};
use crate::client::{ClientError, OrderClient, TrackingClient};

/// Ages grow by this; a picture that is the same costs nothing.
const REPAINT_INTERVAL: Duration = Duration::from_secs(1);
/// Changes gather for so long before they are painted. Keys are answered at once.
const GATHER: Duration = Duration::from_millis(50);
/// Between two lists: each new order asks for one.
const LIST_INTERVAL: Duration = Duration::from_secs(1);
/// Between two looks at the workers, who are in no stream.
const WORKERS_INTERVAL: Duration = Duration::from_secs(3);
/// A look at them takes no longer: the client gives up before.
const WORKERS_PATIENCE: Duration = Duration::from_secs(20);
/// Keys and changes that may wait.
const QUEUE: usize = 256;

/// Shows the board until it is told to end.
pub(super) async fn watch(
    board: Board,
    orders: OrderClient,
    tracking: TrackingClient,
    palette: Palette,
) -> Result<(), BoardError> {
    let screen = Screen::take(io::stdout().as_fd().try_clone_to_owned()?)?;
    let terminal = Terminal::new(CrosstermBackend::new(BufWriter::new(screen.writer()?)))?;
    let live = Live {
        board,
        screen,
        terminal,
        palette,
        orders,
        tracking,
        calls: JoinSet::new(),
        list_at: Instant::now(),
        is_listing: false,
        workers_at: Instant::now(),
        paint_at: Instant::now(),
    };
    live.run().await
}

struct Live {
    board: Board,
    screen: Screen,
    terminal: Terminal<CrosstermBackend<BufWriter<File>>>,
    palette: Palette,
    orders: OrderClient,
    tracking: TrackingClient,
    calls: JoinSet<Told>,
    /// The next list is asked for no sooner.
    list_at: Instant,
    is_listing: bool,
    workers_at: Instant,
    paint_at: Instant,
}

impl Live {
    async fn run(mut self) -> Result<(), BoardError> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut hangup = signal(SignalKind::hangup())?;
        let mut stop = signal(SignalKind::from_raw(Signal::SIGTSTP as i32))?;
        let mut go_on = signal(SignalKind::from_raw(Signal::SIGCONT as i32))?;
        let (tell, mut told) = mpsc::channel::<Result<Told, ClientError>>(QUEUE);
        let mut following = JoinSet::new();
        following.spawn(calls::follow(self.tracking.clone(), tell));
        let mut inputs = read_terminal();
        loop {
            self.ask();
            let wake_at = if self.board.wants_list && !self.is_listing {
                self.paint_at.min(self.workers_at).min(self.list_at)
            } else {
                self.paint_at.min(self.workers_at)
            };
            tokio::select! {
                _ = terminate.recv() => return Ok(()),
                _ = interrupt.recv() => return Ok(()),
                _ = hangup.recv() => return Ok(()),
                _ = stop.recv() => self.suspend()?,
                _ = go_on.recv() => self.come_back()?,
                input = inputs.recv() => match input {
                    Some(Ok(input)) => if self.take_input(&input)? { return Ok(()) },
                    Some(Err(error)) => return Err(error.into()),
                    None => return Err(BoardError::Defect),
                },
                item = told.recv() => match item {
                    Some(item) => self.tell(item?),
                    None => return Err(BoardError::Defect),
                },
                Some(answer) = self.calls.join_next() => {
                    let answer = answer.map_err(|_| BoardError::Defect)?;
                    self.answered(answer);
                }
                () = sleep_until(wake_at) => {}
            }
            if self.paint_at <= Instant::now() {
                self.paint()?;
            }
        }
    }

    /// Makes the calls that are due.
    fn ask(&mut self) {
        let now = Instant::now();
        if !self.is_listing && self.list_at <= now && self.board.takes_list() {
            self.is_listing = true;
            self.calls.spawn(calls::list_told(self.tracking.clone()));
        }
        if self.workers_at <= now {
            self.workers_at = now + WORKERS_PATIENCE;
            self.calls.spawn(calls::workers(self.tracking.clone()));
        }
    }

    fn answered(&mut self, answer: Told) {
        let now = Instant::now();
        match answer {
            Told::Listed { .. } | Told::NotListed(_) => {
                (self.is_listing, self.list_at) = (false, now + LIST_INTERVAL);
            }
            Told::Workers(_) => self.workers_at = now + WORKERS_INTERVAL,
            _ => {}
        }
        self.tell(answer);
    }

    fn tell(&mut self, told: Told) {
        self.board.tell(told, Timestamp::now());
        self.paint_at = self.paint_at.min(Instant::now() + GATHER);
    }

    /// Takes a key; whether it ends the board.
    fn take_input(&mut self, input: &Event) -> io::Result<bool> {
        self.paint_at = Instant::now();
        let Event::Key(pressed) = input else { return Ok(false) };
        let Some(effect) = key_of(pressed).and_then(|key| self.board.press(key)) else { return Ok(false) };
        match effect {
            Effect::Quit => return Ok(true),
            Effect::Suspend => self.ask_to_stop(),
            Effect::Repaint => self.come_back()?,
            Effect::Load(number) => {
                self.calls.spawn(calls::sheet(self.orders.clone(), number));
            }
            Effect::Step { number, step, reason } => {
                self.calls.spawn(calls::step(self.orders.clone(), number, step, reason));
            }
        }
        Ok(false)
    }

    fn paint(&mut self) -> io::Result<()> {
        self.paint_at = Instant::now() + REPAINT_INTERVAL;
        self.board.settle();
        let (board, palette, now) = (&self.board, self.palette, Timestamp::now());
        self.terminal.draw(|frame| view::draw(frame, board, now, palette)).map(drop)
    }

    /// Stops the whole job as the terminal would, so that others in it stop as well.
    fn ask_to_stop(&mut self) {
        if getsid(None) == Ok(getpid()) {
            self.board.say_failure("there is no shell that could continue the board");
        } else if let Err(error) = killpg(getpgrp(), Signal::SIGTSTP) {
            self.board.say_failure(&format!("the board cannot be stopped: {error}"));
        }
    }

    /// Gives the terminal back, stops, and takes it again once the shell lets the board go on.
    fn suspend(&mut self) -> io::Result<()> {
        self.screen.give_back();
        raise(Signal::SIGSTOP)?;
        self.come_back()
    }

    /// Takes the terminal and paints everything anew.
    fn come_back(&mut self) -> io::Result<()> {
        self.screen.take_again()?;
        let size = self.terminal.backend().size()?;
        self.terminal.resize((ratatui::layout::Position::ORIGIN, size).into())?;
        self.paint()
    }
}

/// What comes from the terminal, read by a thread of its own, which ends with the process.
fn read_terminal() -> mpsc::Receiver<io::Result<Event>> {
    let (send, inputs) = mpsc::channel(QUEUE);
    std::thread::spawn(move || {
        loop {
            let input = event::read();
            let is_last = input.is_err();
            if send.blocking_send(input).is_err() || is_last {
                return;
            }
        }
    });
    inputs
}

fn key_of(pressed: &KeyEvent) -> Option<Key> {
    if pressed.kind == KeyEventKind::Release {
        return None;
    }
    let has_control = pressed.modifiers.contains(KeyModifiers::CONTROL);
    Some(match pressed.code {
        KeyCode::Char(letter) if has_control => match letter.to_ascii_lowercase() {
            'c' => Key::Interrupt,
            'z' => Key::Suspend,
            'l' => Key::Repaint,
            'u' => Key::Erase,
            'h' => Key::Backspace,
            _ => return None,
        },
        KeyCode::Char(_) if pressed.modifiers.contains(KeyModifiers::ALT) => return None,
        KeyCode::Char(letter) => Key::Char(letter),
        KeyCode::Enter => Key::Enter,
        KeyCode::Esc => Key::Escape,
        KeyCode::Backspace => Key::Backspace,
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::Left => Key::Left,
        KeyCode::Right => Key::Right,
        KeyCode::Home => Key::First,
        KeyCode::End => Key::Last,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        _ => return None,
    })
}
