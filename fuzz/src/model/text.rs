//! Is a dump's JSON one value, and its SVG well-formed? Small judges of our own, stricter than need be.
//! May know: nothing.

type Judged = Result<(), String>;

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> u8 {
        self.text.get(self.at).copied().unwrap_or(0)
    }

    fn wrong<T>(&self, what: &str) -> Result<T, String> {
        Err(format!("{what} at byte {}", self.at))
    }

    fn expect(&mut self, byte: u8) -> Judged {
        if self.peek() != byte {
            return self.wrong(&format!("no {:?}", byte as char));
        }
        self.at += 1;
        Ok(())
    }

    fn space(&mut self) {
        while matches!(self.peek(), b' ' | b'\n' | b'\t' | b'\r') {
            self.at += 1;
        }
    }

    fn take_while(&mut self, which: impl Fn(u8) -> bool) -> usize {
        let from = self.at;
        while self.at < self.text.len() && which(self.peek()) {
            self.at += 1;
        }
        self.at - from
    }

    fn value(&mut self, depth: usize) -> Judged {
        self.space();
        if depth > 20 {
            return self.wrong("too deep");
        }
        match self.peek() {
            b'{' => self.list(b'}', depth, |reader, depth| {
                reader.space();
                reader.string()?;
                reader.space();
                reader.expect(b':')?;
                reader.value(depth)
            }),
            b'[' => self.list(b']', depth, |reader, depth| reader.value(depth)),
            b'"' => self.string(),
            b'-' | b'0'..=b'9' => {
                let from = self.at;
                self.take_while(|byte| matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9'));
                let text = std::str::from_utf8(&self.text[from..self.at]).unwrap_or("");
                let leading = text.len() > 1 && text.starts_with('0') && !text.starts_with("0.");
                if leading || text.parse::<f64>().is_err() { self.wrong("no number") } else { Ok(()) }
            }
            _ => {
                match ["true", "false", "null"].iter().find(|word| self.text[self.at..].starts_with(word.as_bytes())) {
                    Some(word) => {
                        self.at += word.len();
                        Ok(())
                    }
                    None => self.wrong("no value"),
                }
            }
        }
    }

    fn list(&mut self, end: u8, depth: usize, entry: impl Fn(&mut Self, usize) -> Judged) -> Judged {
        self.at += 1;
        self.space();
        if self.peek() == end {
            self.at += 1;
            return Ok(());
        }
        loop {
            entry(self, depth + 1)?;
            self.space();
            if self.peek() == end {
                self.at += 1;
                return Ok(());
            }
            self.expect(b',')?;
        }
    }

    fn string(&mut self) -> Judged {
        self.expect(b'"')?;
        loop {
            match self.peek() {
                b'"' => {
                    self.at += 1;
                    return Ok(());
                }
                b'\\' => {
                    self.at += 1;
                    match self.peek() {
                        b'u' => {
                            self.at += 1;
                            for _ in 0..4 {
                                if !self.peek().is_ascii_hexdigit() {
                                    return self.wrong("no hexadecimal digit");
                                }
                                self.at += 1;
                            }
                        }
                        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.at += 1,
                        _ => return self.wrong("no escape"),
                    }
                }
                0..=0x1f => return self.wrong("a control character in a string"),
                _ => self.at += 1,
            }
        }
    }
}

/// One JSON object and nothing behind it.
pub fn json(text: &[u8]) -> Judged {
    std::str::from_utf8(text).map_err(|error| error.to_string())?;
    let mut reader = Reader { text, at: 0 };
    reader.space();
    if reader.peek() != b'{' {
        return reader.wrong("no object");
    }
    reader.value(0)?;
    reader.space();
    if reader.at < text.len() { reader.wrong("something behind the object") } else { Ok(()) }
}

fn is_xml_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// A well-formed document of elements, attributes and text; no entities but the usual.
pub fn xml(text: &[u8]) -> Judged {
    let checked = std::str::from_utf8(text).map_err(|error| error.to_string())?;
    if let Some(c) = checked.chars().find(|&c| !is_xml_char(c)) {
        return Err(format!("the character {:#x} is not allowed", c as u32));
    }
    let mut reader = Reader { text, at: 0 };
    let mut open: Vec<&[u8]> = Vec::new();
    let mut roots = 0;
    while reader.at < text.len() {
        match reader.peek() {
            b'<' if text[reader.at..].starts_with(b"<?") => {
                let Some(end) = checked[reader.at..].find("?>") else { return reader.wrong("no end") };
                reader.at += end + 2;
            }
            b'<' if text[reader.at..].starts_with(b"<!--") => {
                let Some(end) = checked[reader.at + 4..].find("--") else { return reader.wrong("no end") };
                reader.at += end + 6;
                reader.expect(b'>')?;
            }
            b'<' if text[reader.at..].starts_with(b"</") => {
                reader.at += 2;
                let from = reader.at;
                reader.take_while(is_name);
                if open.pop() != Some(&text[from..reader.at]) {
                    return reader.wrong("another element is open");
                }
                reader.space();
                reader.expect(b'>')?;
            }
            b'<' => {
                reader.at += 1;
                let from = reader.at;
                if reader.take_while(is_name) == 0 {
                    return reader.wrong("no name");
                }
                roots += open.is_empty() as usize;
                let name = &text[from..reader.at];
                if !attributes(&mut reader)? {
                    open.push(name);
                }
            }
            b'&' => entity(&mut reader)?,
            b' ' | b'\n' | b'\t' | b'\r' => reader.at += 1,
            _ if open.is_empty() => return reader.wrong("text outside the root"),
            _ => reader.at += 1,
        }
    }
    if !open.is_empty() || roots != 1 { reader.wrong("not one closed root") } else { Ok(()) }
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b':' | b'.')
}

fn entity(reader: &mut Reader<'_>) -> Judged {
    let rest = &reader.text[reader.at..];
    let named = [&b"&lt;"[..], b"&gt;", b"&amp;", b"&quot;", b"&apos;"];
    if let Some(name) = named.iter().find(|name| rest.starts_with(name)) {
        reader.at += name.len();
        return Ok(());
    }
    if !rest.starts_with(b"&#") {
        return reader.wrong("no entity");
    }
    reader.at += 2;
    let digits = reader.take_while(|byte| byte.is_ascii_hexdigit() || byte == b'x');
    if digits == 0 { reader.wrong("no number") } else { reader.expect(b';') }
}

/// Up to the end of the tag. Does it close itself?
fn attributes(reader: &mut Reader<'_>) -> Result<bool, String> {
    let mut names: Vec<Vec<u8>> = Vec::new();
    loop {
        reader.space();
        match reader.peek() {
            b'>' => {
                reader.at += 1;
                return Ok(false);
            }
            b'/' => {
                reader.at += 1;
                reader.expect(b'>')?;
                return Ok(true);
            }
            _ => {
                let from = reader.at;
                if reader.take_while(is_name) == 0 {
                    return reader.wrong("no attribute");
                }
                let name = reader.text[from..reader.at].to_vec();
                if names.contains(&name) {
                    return reader.wrong("an attribute twice");
                }
                names.push(name);
                reader.expect(b'=')?;
                let quote = reader.peek();
                if quote != b'"' && quote != b'\'' {
                    return reader.wrong("no quote");
                }
                reader.at += 1;
                while reader.peek() != quote {
                    match reader.peek() {
                        b'<' | 0 => return reader.wrong("not allowed in an attribute"),
                        b'&' => entity(reader)?,
                        _ => reader.at += 1,
                    }
                }
                reader.at += 1;
            }
        }
    }
}
