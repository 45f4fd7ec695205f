//! Documents that run over several pages: packing slips, pick lists, invoices.

use crate::pdf::{Page, PageSize, Pdf, Rect, Style};
use crate::text;
use crate::{Code128, Font};

/// Where text stands in its column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// At the left side.
    Left,
    /// At the right side, as numbers do.
    Right,
}

/// A column of a table.
#[derive(Clone, Debug)]
pub struct Column {
    /// Heading, repeated on every page.
    pub title: String,
    /// Share of the table's width, relative to the other columns.
    pub share: f32,
    /// Where its text stands.
    pub align: Align,
}

impl Column {
    /// A column with text at the left.
    pub fn left(title: &str, share: f32) -> Self {
        Self {
            title: title.to_owned(),
            share,
            align: Align::Left,
        }
    }

    /// A column with numbers at the right.
    pub fn right(title: &str, share: f32) -> Self {
        Self {
            title: title.to_owned(),
            share,
            align: Align::Right,
        }
    }
}

/// A table; long cells are wrapped, long tables go on over pages with their headings.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// Columns from left to right.
    pub columns: Vec<Column>,
    /// Rows; a row with fewer cells than columns is padded with empty ones.
    pub rows: Vec<Vec<String>>,
}

const MARGIN: f32 = 48.0;
const CELL: Style = Style::regular(9.0);
const HEADING: Style = Style::bold(9.0);

/// Writes a document from top to bottom and breaks pages where they are full.
pub struct Flow {
    title: String,
    footer: String,
    size: PageSize,
    pages: Vec<Page>,
    page: Page,
    y: f32,
}

impl Flow {
    /// An empty document. The footer stands on every page, with the page's number.
    pub fn new(title: &str, footer: &str, size: PageSize) -> Self {
        Self {
            title: title.to_owned(),
            footer: footer.to_owned(),
            size,
            pages: Vec::new(),
            page: Page::new(size),
            y: MARGIN,
        }
    }

    /// Width between the margins in points.
    pub fn width(&self) -> f32 {
        self.size.width - 2.0 * MARGIN
    }

    /// Leaves a gap of a height in points.
    pub fn space(&mut self, height: f32) {
        self.y += height;
    }

    /// Writes a large line.
    pub fn heading(&mut self, line: &str) {
        self.paragraph(Style::bold(16.0), line);
        self.y += 4.0;
    }

    /// Writes wrapped text.
    pub fn paragraph(&mut self, style: Style, line: &str) {
        for line in text::wrap(style.font, style.size, self.width(), line) {
            self.room_for(style.leading());
            self.page.text(MARGIN, self.y + style.size, style, &line);
            self.y += style.leading();
        }
    }

    /// Writes blocks of lines beside each other, such as sender and recipient, under bold titles.
    pub fn blocks(&mut self, blocks: &[(&str, Vec<String>)]) {
        let count = f32::from(u16::try_from(blocks.len()).unwrap_or(u16::MAX)).max(1.0);
        let width = self.width() / count - 12.0;
        let wrapped: Vec<Vec<String>> = blocks
            .iter()
            .map(|(_, lines)| wrap_all(CELL, width, lines))
            .collect();
        let longest = wrapped.iter().map(Vec::len).max().unwrap_or(0);
        self.room_for(height_of(longest + 1, CELL) + 6.0);
        let top = self.y + 6.0;
        let mut x = MARGIN;
        for ((title, _), lines) in blocks.iter().zip(&wrapped) {
            let mut y = top + HEADING.size;
            self.page.text(x, y, HEADING, title);
            for line in lines {
                y += CELL.leading();
                self.page.text(x, y, CELL, line);
            }
            x += width + 12.0;
        }
        self.y = top + height_of(longest + 1, CELL) + 8.0;
    }

    /// Draws a symbol at the left margin with its text below.
    pub fn barcode(&mut self, code: &Code128, width: f32, height: f32) {
        self.room_for(height + 14.0);
        self.page.barcode(
            Rect {
                x: MARGIN,
                y: self.y,
                width,
                height,
            },
            code,
        );
        let style = Style::regular(8.0);
        self.page.text_center(
            MARGIN + width / 2.0,
            self.y + height + 9.0,
            style,
            code.text(),
        );
        self.y += height + 16.0;
    }

    /// Writes a table.
    pub fn table(&mut self, table: &Table) {
        let total: f32 = table.columns.iter().map(|column| column.share).sum();
        let widths: Vec<f32> = table
            .columns
            .iter()
            .map(|column| column.share / total * self.width())
            .collect();
        self.table_head(table, &widths);
        for row in &table.rows {
            let cells: Vec<Vec<String>> = widths
                .iter()
                .enumerate()
                .map(|(index, width)| {
                    let cell = row.get(index).map_or("", String::as_str);
                    text::wrap(CELL.font, CELL.size, width - 8.0, cell)
                })
                .collect();
            let lines = cells.iter().map(Vec::len).max().unwrap_or(1).max(1);
            let height = height_of(lines, CELL) + 4.0;
            if self.y + height > self.bottom() {
                self.break_page();
                self.table_head(table, &widths);
            }
            self.row(table, &widths, CELL, &cells);
            self.y += height;
            self.page
                .line((MARGIN, self.y), (self.size.width - MARGIN, self.y), 0.25);
        }
        self.y += 8.0;
    }

    /// Writes a line whose label stands before a number at the right margin, such as a total.
    pub fn total(&mut self, style: Style, label: &str, amount: &str) {
        self.room_for(style.leading());
        let right = self.size.width - MARGIN;
        self.page
            .text_right(right - 4.0, self.y + style.size, style, amount);
        self.page
            .text_right(right - 100.0, self.y + style.size, style, label);
        self.y += style.leading() + 2.0;
    }

    /// Ends the document and writes the file.
    pub fn finish(mut self) -> Vec<u8> {
        self.pages.push(self.page);
        let count = self.pages.len();
        let mut pdf = Pdf::new(&self.title);
        let style = Style::regular(8.0).gray(0.35);
        let y = self.size.height - 28.0;
        for (index, mut page) in self.pages.into_iter().enumerate() {
            page.text(MARGIN, y, style, &self.footer);
            let number = format!("Page {} of {count}", index + 1);
            page.text_right(self.size.width - MARGIN, y, style, &number);
            pdf.push(page);
        }
        pdf.finish()
    }

    fn bottom(&self) -> f32 {
        self.size.height - MARGIN
    }

    fn room_for(&mut self, height: f32) {
        if self.y + height > self.bottom() {
            self.break_page();
        }
    }

    fn break_page(&mut self) {
        let full = std::mem::replace(&mut self.page, Page::new(self.size));
        self.pages.push(full);
        self.y = MARGIN;
    }

    fn table_head(&mut self, table: &Table, widths: &[f32]) {
        let titles: Vec<Vec<String>> = table
            .columns
            .iter()
            .zip(widths)
            .map(|(column, width)| text::wrap(Font::Bold, HEADING.size, width - 8.0, &column.title))
            .collect();
        let lines = titles.iter().map(Vec::len).max().unwrap_or(1).max(1);
        let height = height_of(lines, HEADING) + 4.0;
        // A heading at the foot of a page without a row below it helps nobody.
        self.room_for(height * 2.0);
        let area = Rect {
            x: MARGIN,
            y: self.y,
            width: self.width(),
            height,
        };
        self.page.fill(area, 0.9);
        self.row(table, widths, HEADING, &titles);
        self.y += height;
        self.page
            .line((MARGIN, self.y), (self.size.width - MARGIN, self.y), 0.75);
    }

    fn row(&mut self, table: &Table, widths: &[f32], style: Style, cells: &[Vec<String>]) {
        let mut x = MARGIN;
        for ((column, width), lines) in table.columns.iter().zip(widths).zip(cells) {
            let mut y = self.y + style.size + 2.0;
            for line in lines {
                match column.align {
                    Align::Left => self.page.text(x + 4.0, y, style, line),
                    Align::Right => self.page.text_right(x + width - 4.0, y, style, line),
                }
                y += style.leading();
            }
            x += width;
        }
    }
}

fn height_of(lines: usize, style: Style) -> f32 {
    f32::from(u16::try_from(lines).unwrap_or(u16::MAX)) * style.leading()
}

fn wrap_all(style: Style, width: f32, lines: &[String]) -> Vec<String> {
    lines
        .iter()
        .flat_map(|line| text::wrap(style.font, style.size, width, line))
        .collect()
}
