//! Pages in the language of label printers, at 203 dots per inch.

use crate::Code128;
use crate::text;
use std::fmt::Write as _;

/// One label. Positions and sizes are dots from the top left corner.
pub struct Zpl {
    body: String,
}

impl Zpl {
    /// An empty label of a width and height in dots.
    pub fn new(width: u32, height: u32) -> Self {
        // CI28 reads the fields as UTF-8, LH sets the origin that a former label may have moved.
        Self {
            body: format!("^XA\n^CI28\n^PW{width}\n^LL{height}\n^LH0,0\n"),
        }
    }

    /// Writes one line of text of a height in dots whose upper left corner is at `x`, `y`.
    pub fn text(&mut self, x: u32, y: u32, height: u32, line: &str) {
        let data = escape(&text::printable(line));
        self.command(format_args!(
            "^FO{x},{y}^A0N,{height},{height}^FH_^FD{data}^FS"
        ));
    }

    /// Writes one line of white text, for use on a filled box.
    pub fn text_reversed(&mut self, x: u32, y: u32, height: u32, line: &str) {
        let data = escape(&text::printable(line));
        self.command(format_args!(
            "^FO{x},{y}^A0N,{height},{height}^FR^FH_^FD{data}^FS"
        ));
    }

    /// Draws the border of a box.
    pub fn frame(&mut self, x: u32, y: u32, (width, height): (u32, u32), thickness: u32) {
        self.command(format_args!("^FO{x},{y}^GB{width},{height},{thickness}^FS"));
    }

    /// Fills a box with black.
    pub fn fill(&mut self, x: u32, y: u32, (width, height): (u32, u32)) {
        let thickness = width.min(height);
        self.command(format_args!("^FO{x},{y}^GB{width},{height},{thickness}^FS"));
    }

    /// Prints a Code 128 symbol with modules of a width in dots. The printer chooses the character sets.
    pub fn barcode(&mut self, x: u32, y: u32, module: u32, height: u32, code: &Code128) {
        // `>` starts a command inside a symbol, `>0` is the character.
        let data = escape(&code.text().replace('>', ">0"));
        self.command(format_args!(
            "^FO{x},{y}^BY{module},3,{height}^BCN,{height},N,N,N,A^FH_^FD{data}^FS"
        ));
    }

    /// Ends the label.
    pub fn finish(mut self) -> Vec<u8> {
        self.body.push_str("^XZ\n");
        self.body.into_bytes()
    }

    fn command(&mut self, command: std::fmt::Arguments<'_>) {
        // Writing to a String does not fail.
        writeln!(self.body, "{command}").ok();
    }
}

/// Writes what the printer would take for a command, and what is not ASCII, as hexadecimal bytes
/// behind `_` (see `^FH_`).
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if (b' '..=b'~').contains(&byte) && !matches!(byte, b'^' | b'~' | b'_' | b'\\') {
            out.push(char::from(byte));
        } else {
            write!(out, "_{byte:02X}").ok();
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_cannot_become_a_command() {
        assert_eq!(escape("a^XZ~JA_1"), "a_5EXZ_7EJA_5F1");
        assert_eq!(escape("é"), "_C3_A9");
        let mut label = Zpl::new(812, 1218);
        label.text(10, 20, 30, "x^FS^XZ\n東");
        let zpl = String::from_utf8(label.finish()).unwrap();
        assert_eq!(zpl.matches("^XZ").count(), 1);
        assert_eq!(zpl.matches("^FS").count(), 1);
        assert!(zpl.contains("^FO10,20^A0N,30,30^FH_^FDx_5EFS_5EXZ ?^FS"));
    }
}
