//! The colours.

use ratatui::style::{Color, Style};

use crate::domain::Status;

/// The colours, or none of them. What a colour says, a sign or a word says too.
#[derive(Debug, Clone, Copy)]
pub(super) struct Palette {
    pub(super) has_colours: bool,
}

impl Palette {
    pub(super) fn of(self, colour: Color) -> Style {
        if self.has_colours { Style::new().fg(colour) } else { Style::new() }
    }

    pub(super) fn failure(self) -> Style {
        self.of(Color::Red).bold()
    }

    pub(super) fn status(self, status: Status) -> Style {
        self.of(match status {
            Status::Received => Color::Cyan,
            Status::Cooking => Color::Yellow,
            Status::Ready => Color::Green,
            _ => Color::Magenta,
        })
    }
}
