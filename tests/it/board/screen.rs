//! What a terminal shows after what was written to it: as much of one as the board uses.

/// The cells, and what is not shown in them.
#[derive(Default)]
pub(super) struct Screen {
    rows: Vec<Vec<char>>,
    row: usize,
    column: usize,
    /// A sequence that is not complete.
    pending: String,
    pub(super) is_alternate: bool,
    pub(super) has_cursor: bool,
}

impl Screen {
    pub(super) fn new() -> Self {
        Self { has_cursor: true, ..Self::default() }
    }

    pub(super) fn write(&mut self, text: &str) {
        for c in text.chars() {
            if self.pending.is_empty() && c != '\u{1b}' {
                self.put(c);
                continue;
            }
            self.pending.push(c);
            if self.pending.chars().count() > 2 && c.is_ascii_alphabetic() {
                let sequence = std::mem::take(&mut self.pending);
                self.obey(&sequence["\u{1b}[".len()..]);
            }
        }
    }

    fn put(&mut self, c: char) {
        if self.rows.len() <= self.row {
            self.rows.resize(self.row + 1, Vec::new());
        }
        let cells = &mut self.rows[self.row];
        if cells.len() <= self.column {
            cells.resize(self.column + 1, ' ');
        }
        cells[self.column] = c;
        self.column += 1;
    }

    fn obey(&mut self, sequence: &str) {
        match sequence {
            "?1049h" => self.is_alternate = true,
            "?1049l" => self.is_alternate = false,
            "?25h" => self.has_cursor = true,
            "?25l" => self.has_cursor = false,
            "2J" => self.rows.clear(),
            _ => {
                if let Some((row, column)) = sequence.strip_suffix('H').and_then(|at| at.split_once(';')) {
                    let index = |text: &str| text.parse::<usize>().unwrap() - 1;
                    (self.row, self.column) = (index(row), index(column));
                }
            }
        }
    }

    pub(super) fn text(&self) -> String {
        let lines: Vec<String> = self.rows.iter().map(|row| row.iter().collect()).collect();
        lines.join("\n")
    }
}
