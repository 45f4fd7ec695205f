//! Pages with text, lines, boxes and bars, written as PDF with built-in fonts.

use crate::Code128;
use crate::metrics::Font;
use crate::text;
use pdf_writer::{Content, Finish, Name, Rect as PdfRect, Ref, Str, TextStr};

/// Width and height of a page in points.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PageSize {
    /// Width in points.
    pub width: f32,
    /// Height in points.
    pub height: f32,
}

impl PageSize {
    /// US letter, upright.
    pub const LETTER: Self = Self {
        width: 612.0,
        height: 792.0,
    };
    /// ISO A4, upright.
    pub const A4: Self = Self {
        width: 595.0,
        height: 842.0,
    };
    /// A shipping label of 4 by 6 inches.
    pub const LABEL_4X6: Self = Self {
        width: 288.0,
        height: 432.0,
    };
}

/// A box on a page: points from the top left corner.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rect {
    /// Distance of the left side from the page's left side.
    pub x: f32,
    /// Distance of the upper side from the page's upper side.
    pub y: f32,
    /// Width.
    pub width: f32,
    /// Height.
    pub height: f32,
}

/// How text looks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Style {
    /// Font.
    pub font: Font,
    /// Size in points.
    pub size: f32,
    /// 0 is black, 1 is white.
    pub gray: f32,
}

impl Style {
    /// Black text of a size in points.
    pub const fn regular(size: f32) -> Self {
        Self {
            font: Font::Regular,
            size,
            gray: 0.0,
        }
    }

    /// Bold black text of a size in points.
    pub const fn bold(size: f32) -> Self {
        Self {
            font: Font::Bold,
            size,
            gray: 0.0,
        }
    }

    /// The same in another shade: 0 is black, 1 is white.
    #[must_use]
    pub const fn gray(mut self, gray: f32) -> Self {
        self.gray = gray;
        self
    }

    /// Distance between the base lines of two lines.
    pub fn leading(&self) -> f32 {
        self.size * 1.2
    }
}

/// One page that is drawn on.
pub struct Page {
    size: PageSize,
    content: Content,
}

impl Page {
    /// An empty page.
    pub fn new(size: PageSize) -> Self {
        Self {
            size,
            content: Content::new(),
        }
    }

    /// Size of the page.
    pub fn size(&self) -> PageSize {
        self.size
    }

    /// Writes one line of text that starts at `x` and stands on the base line `y`.
    pub fn text(&mut self, x: f32, y: f32, style: Style, line: &str) {
        let font: &[u8] = match style.font {
            Font::Regular => b"F1",
            Font::Bold => b"F2",
        };
        self.content.set_fill_gray(style.gray);
        self.content.begin_text();
        self.content.set_font(Name(font), style.size);
        self.content.next_line(x, self.size.height - y);
        self.content.show(Str(&text::encode(line)));
        self.content.end_text();
    }

    /// Writes one line of text that ends at `x`.
    pub fn text_right(&mut self, x: f32, y: f32, style: Style, line: &str) {
        self.text(
            x - text::width(style.font, style.size, line),
            y,
            style,
            line,
        );
    }

    /// Writes one line of text around the middle `x`.
    pub fn text_center(&mut self, x: f32, y: f32, style: Style, line: &str) {
        self.text(
            x - text::width(style.font, style.size, line) / 2.0,
            y,
            style,
            line,
        );
    }

    /// Writes lines below each other inside a box, all of them at the largest size up to `style.size`
    /// that fits, wrapped. Answers the lower side of the last line. What fits at no readable size ends
    /// with an ellipsis, so that nobody takes a cut address for a whole one.
    pub fn text_block(&mut self, area: Rect, style: Style, lines: &[&str]) -> f32 {
        let (style, wrapped) = fit(area, style, lines);
        let mut y = area.y + style.size;
        for line in &wrapped {
            self.text(area.x, y, style, line);
            y += style.leading();
        }
        y - style.size
    }

    /// Draws a straight line of a width in points.
    pub fn line(&mut self, from: (f32, f32), to: (f32, f32), width: f32) {
        self.content.set_stroke_gray(0.0);
        self.content.set_line_width(width);
        self.content.move_to(from.0, self.size.height - from.1);
        self.content.line_to(to.0, self.size.height - to.1);
        self.content.stroke();
    }

    /// Draws the border of a box with a line of a width in points.
    pub fn frame(&mut self, area: Rect, width: f32) {
        self.content.set_stroke_gray(0.0);
        self.content.set_line_width(width);
        self.outline(area);
        self.content.stroke();
    }

    /// Fills a box with a shade: 0 is black, 1 is white.
    pub fn fill(&mut self, area: Rect, gray: f32) {
        self.content.set_fill_gray(gray);
        self.outline(area);
        self.content.fill_nonzero();
    }

    /// Draws a symbol as wide as the box, quiet zones of ten modules on both sides included.
    pub fn barcode(&mut self, area: Rect, code: &Code128) {
        let runs = code.runs();
        let modules: f32 = runs.iter().map(|(_, wide)| f32::from(*wide)).sum();
        let module = area.width / (modules + 20.0);
        let mut x = area.x + 10.0 * module;
        self.content.set_fill_gray(0.0);
        for (bar, wide) in runs {
            let width = f32::from(wide) * module;
            if bar {
                self.outline(Rect { x, width, ..area });
            }
            x += width;
        }
        self.content.fill_nonzero();
    }

    fn outline(&mut self, area: Rect) {
        let bottom = self.size.height - area.y - area.height;
        self.content.rect(area.x, bottom, area.width, area.height);
    }
}

/// The largest style and the wrapped lines that fit a box.
fn fit(area: Rect, style: Style, lines: &[&str]) -> (Style, Vec<String>) {
    const SIZE_MIN: f32 = 4.5;
    let mut style = style;
    loop {
        let mut wrapped: Vec<String> = lines
            .iter()
            .flat_map(|line| text::wrap(style.font, style.size, area.width, line))
            .collect();
        let mut room = area.height;
        let fitting = wrapped
            .iter()
            .take_while(|_| {
                room -= style.leading();
                room >= style.size * -0.2
            })
            .count();
        if fitting >= wrapped.len() {
            return (style, wrapped);
        }
        if style.size <= SIZE_MIN {
            wrapped.truncate(fitting);
            if let Some(last) = wrapped.last_mut() {
                last.push('…');
            }
            return (style, wrapped);
        }
        style.size = (style.size - 0.5).max(SIZE_MIN);
    }
}

/// A document of pages.
pub struct Pdf {
    title: String,
    pages: Vec<Page>,
}

impl Pdf {
    /// An empty document with a title for the reader's window.
    pub fn new(title: &str) -> Self {
        Self {
            title: title.to_owned(),
            pages: Vec::new(),
        }
    }

    /// Appends a page.
    pub fn push(&mut self, page: Page) {
        self.pages.push(page);
    }

    /// Writes the file. A document without a page gets an empty one, since readers refuse none.
    pub fn finish(mut self) -> Vec<u8> {
        if self.pages.is_empty() {
            self.pages.push(Page::new(PageSize::LETTER));
        }
        let mut next = 0;
        let mut id = || {
            next += 1;
            Ref::new(next)
        };
        let (catalog, tree, info, regular, bold) = (id(), id(), id(), id(), id());
        let pages: Vec<(Ref, Ref, Page)> = self
            .pages
            .into_iter()
            .map(|page| (id(), id(), page))
            .collect();

        let mut pdf = pdf_writer::Pdf::new();
        pdf.catalog(catalog).pages(tree);
        pdf.document_info(info).title(TextStr(&self.title));
        let count = i32::try_from(pages.len()).unwrap_or(i32::MAX);
        pdf.pages(tree)
            .kids(pages.iter().map(|(page, _, _)| *page))
            .count(count);
        for (font, name) in [(regular, "Helvetica"), (bold, "Helvetica-Bold")] {
            pdf.type1_font(font)
                .base_font(Name(name.as_bytes()))
                .encoding_predefined(Name(b"WinAnsiEncoding"));
        }
        for (page_id, content_id, page) in pages {
            let mut entry = pdf.page(page_id);
            entry.media_box(PdfRect::new(0.0, 0.0, page.size.width, page.size.height));
            entry.parent(tree);
            entry.contents(content_id);
            entry
                .resources()
                .fonts()
                .pair(Name(b"F1"), regular)
                .pair(Name(b"F2"), bold);
            entry.finish();
            pdf.stream(content_id, &page.content.finish());
        }
        pdf.finish()
    }
}
