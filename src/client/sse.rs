//! The wire format of Server-Sent Events (HTML standard, section 9.2.6), read piece by piece as it arrives.

/// The longest event (its fields together, or one line) that is read, in bytes.
pub const MAX_EVENT_BYTES: usize = 256 * 1024;

/// One event of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedEvent {
    /// Its kind; `message` where none was given.
    pub event: String,
    /// Its data; several `data:` lines are joined by a line feed.
    pub data: String,
    /// The last id that the stream has given up to here: what `Last-Event-ID` resumes from.
    pub id: Option<String>,
}

/// A line or an event exceeded [`MAX_EVENT_BYTES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event of more than {MAX_EVENT_BYTES} bytes")]
pub struct EventTooLarge;

/// Turns the bytes of one connection into events. What an ended connection left unfinished is to be dropped with it.
#[derive(Debug, Default)]
pub struct SseParser {
    line: Vec<u8>,
    after_carriage_return: bool,
    past_first_line: bool,
    event: String,
    data: Option<String>,
    id: Option<String>,
    last_event_id: Option<String>,
}

impl SseParser {
    /// The id that the stream has given last. It may have come without an event.
    pub fn last_event_id(&self) -> Option<&str> {
        self.last_event_id.as_deref()
    }

    /// Reads the next piece of the stream and hands out the events that it completes.
    ///
    /// # Errors
    /// [`EventTooLarge`]: the stream is not worth reading on.
    pub fn push(&mut self, bytes: &[u8], mut emit: impl FnMut(ReceivedEvent)) -> Result<(), EventTooLarge> {
        for &byte in bytes {
            let completes_crlf =
                std::mem::replace(&mut self.after_carriage_return, byte == b'\r') && byte == b'\n';
            match byte {
                b'\n' if completes_crlf => {}
                b'\r' | b'\n' => self.end_line(&mut emit),
                _ => self.line.push(byte),
            }
            if self.line.len() + self.data.as_ref().map_or(0, String::len) > MAX_EVENT_BYTES {
                return Err(EventTooLarge);
            }
        }
        Ok(())
    }

    fn end_line(&mut self, emit: &mut impl FnMut(ReceivedEvent)) {
        let line = std::mem::take(&mut self.line);
        let mut line = String::from_utf8_lossy(&line).into_owned();
        if !std::mem::replace(&mut self.past_first_line, true) && line.starts_with('\u{feff}') {
            line.remove(0);
        }
        if line.is_empty() {
            return self.end_event(emit);
        }
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => self.event = value.to_owned(),
            "id" if !value.contains('\0') => self.id = Some(value.to_owned()),
            "data" => match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_owned()),
            },
            // A comment has an empty field name; `retry` and unknown fields are of no use here.
            _ => {}
        }
    }

    fn end_event(&mut self, emit: &mut impl FnMut(ReceivedEvent)) {
        let event = std::mem::take(&mut self.event);
        self.last_event_id.clone_from(&self.id);
        if let Some(data) = self.data.take() {
            let event = if event.is_empty() { "message".to_owned() } else { event };
            emit(ReceivedEvent { event, data, id: self.id.clone() });
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<ReceivedEvent> {
        let (mut parser, mut events) = (SseParser::default(), Vec::new());
        for piece in pieces {
            parser.push(piece, |event| events.push(event)).unwrap();
        }
        events
    }

    fn event(event: &str, data: &str, id: Option<&str>) -> ReceivedEvent {
        ReceivedEvent { event: event.into(), data: data.into(), id: id.map(str::to_owned) }
    }

    #[test]
    fn fields_comments_and_several_data_lines_are_read() {
        let stream = "\u{feff}: hello\n\nevent: status\nid: 7\ndata: {\"a\":\ndata:  1}\nretry: 5\nnonsense\n\ndata:x\n\n";
        let expected = [event("status", "{\"a\":\n 1}", Some("7")), event("message", "x", Some("7"))];
        assert_eq!(parse([stream.as_bytes()]), expected);
    }

    #[test]
    fn all_line_ends_mean_the_same() {
        for end in ["\n", "\r\n", "\r"] {
            let stream = ["event: status", "id: 1", "data: a", "data: b", "", "data: c", "", ""].join(end);
            let expected = [event("status", "a\nb", Some("1")), event("message", "c", Some("1"))];
            assert_eq!(parse([stream.as_bytes()]), expected, "{end:?}");
        }
    }

    #[test]
    fn an_unfinished_event_and_one_without_data_are_not_handed_out() {
        assert_eq!(parse([&b"event: status\nid: 3\n\ndata: begun\n"[..]]), []);
        assert_eq!(parse([&b"data\n\n"[..]]), [event("message", "", None)]);
    }

    #[test]
    fn an_id_without_an_event_counts_once_its_block_has_ended() {
        let mut parser = SseParser::default();
        parser.push(b"id: 7\n", |_| {}).unwrap();
        assert_eq!(parser.last_event_id(), None);
        parser.push(b"\n", |_| {}).unwrap();
        assert_eq!(parser.last_event_id(), Some("7"));
    }

    #[test]
    fn an_endless_event_is_refused() {
        let mut parser = SseParser::default();
        assert_eq!(parser.push(&vec![b'x'; MAX_EVENT_BYTES + 1], |_| {}), Err(EventTooLarge));
        let mut parser = SseParser::default();
        let line = [b"data: ".as_slice(), &[b'x'; 1000], b"\n"].concat();
        assert!((0..300).any(|_| parser.push(&line, |_| {}).is_err()));
    }

    proptest! {
        #[test]
        fn where_the_pieces_are_cut_changes_nothing(
            lines in prop::collection::vec(
                prop_oneof![
                    Just(String::new()), Just(": keep-alive".to_owned()), "(data|id|event): ?[a-zé☕ :]{0,9}", "[a-z]{0,4}:?",
                ],
                0..40,
            ),
            ends in prop::collection::vec(prop::sample::select(vec!["\n", "\r\n", "\r"]), 40),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let stream: String = lines.iter().zip(&ends).flat_map(|(line, end)| [line.as_str(), end]).collect();
            let bytes = stream.as_bytes();
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let pieces = cuts.windows(2).map(|window| &bytes[window[0]..window[1]]);
            prop_assert_eq!(parse(pieces), parse([bytes]));
            prop_assert_eq!(parse(bytes.chunks(1)), parse([bytes]));
        }

        #[test]
        fn what_is_written_is_read_again(
            events in prop::collection::vec(("[a-z]{1,8}", "[^\r\n\0]{1,40}(\n[^\r\n\0]{1,20}){0,2}", "[0-9]{1,6}"), 0..10),
        ) {
            let mut stream = String::new();
            for (kind, data, id) in &events {
                stream.push_str(&format!("event: {kind}\nid: {id}\n"));
                data.split('\n').for_each(|line| stream.push_str(&format!("data: {line}\n")));
                stream.push('\n');
            }
            let expected: Vec<_> = events.iter().map(|(kind, data, id)| event(kind, data, Some(id))).collect();
            prop_assert_eq!(parse([stream.as_bytes()]), expected);
        }
    }
}
