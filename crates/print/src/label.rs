//! A shipping label of 4 by 6 inches, as PDF and as ZPL.

use crate::pdf::{Page, PageSize, Pdf, Rect, Style};
use crate::zpl::Zpl;
use crate::{Code128, Font, code128, text};

/// Who sends or receives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Party {
    /// Name of the person or company.
    pub name: String,
    /// Street lines, the most specific first.
    pub address_lines: Vec<String>,
    /// City.
    pub locality: String,
    /// State or province.
    pub administrative_area: String,
    /// Postal code.
    pub postal_code: String,
    /// ISO 3166-1 alpha-2 code.
    pub country_code: String,
    /// Telephone number; may be empty.
    pub phone: String,
}

impl Party {
    fn city_line(&self) -> String {
        let region = [self.administrative_area.as_str(), self.postal_code.as_str()]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join(" ");
        match (self.locality.is_empty(), region.is_empty()) {
            (false, false) => format!("{}, {region}", self.locality),
            (false, true) => self.locality.clone(),
            _ => region,
        }
    }

    fn lines(&self) -> Vec<String> {
        let mut lines = vec![self.name.clone()];
        lines.extend(self.address_lines.iter().cloned());
        lines.push(self.city_line());
        lines.push(self.country_code.clone());
        lines.retain(|line| !line.is_empty());
        lines
    }
}

/// Which way the goods travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LabelKind {
    /// From the seller to the customer.
    #[default]
    Outbound,
    /// From the customer back.
    Return,
}

/// What stands on a label.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShippingLabel {
    /// Which way the goods travel.
    pub kind: LabelKind,
    /// Sender.
    pub from: Party,
    /// Recipient.
    pub to: Party,
    /// Name of the carrier.
    pub carrier: String,
    /// Name of the service.
    pub service: String,
    /// Number that the symbol holds; 1 to 40 characters of printable ASCII.
    pub tracking_number: String,
    /// Gross mass in grams.
    pub weight_grams: i64,
    /// Number of this package, from 1.
    pub package_number: u32,
    /// Packages of the shipment.
    pub package_count: u32,
    /// Order number for people.
    pub order_number: String,
    /// More to print at the foot, as name and value; the first three are shown.
    pub references: Vec<(String, String)>,
}

impl ShippingLabel {
    fn weight(&self) -> String {
        let grams = self.weight_grams.max(0);
        format!("{}.{:03} kg", grams / 1000, grams % 1000)
    }

    fn pieces(&self) -> String {
        format!("{} of {}", self.package_number, self.package_count)
    }

    /// The tracking number in groups of four, as people read it.
    fn tracking_for_people(&self) -> String {
        let chars: Vec<char> = self.tracking_number.chars().collect();
        chars
            .chunks(4)
            .map(|group| group.iter().collect::<String>())
            .collect::<Vec<_>>()
            .join(" ")
    }

    fn banner(&self) -> String {
        match self.kind {
            LabelKind::Outbound => self.service.clone(),
            LabelKind::Return => format!("RETURN  {}", self.service),
        }
    }

    fn footer(&self) -> Vec<String> {
        let mut lines = vec![format!("Order {}", self.order_number)];
        lines.extend(
            self.references
                .iter()
                .take(3)
                .map(|(name, value)| format!("{name} {value}")),
        );
        lines
    }
}

/// Renders labels as one PDF, a page each.
pub fn pdf(labels: &[ShippingLabel]) -> Result<Vec<u8>, code128::Error> {
    let title = labels
        .first()
        .map_or("Label", |label| label.tracking_number.as_str());
    let mut pdf = Pdf::new(&format!("Shipping label {title}"));
    for label in labels {
        pdf.push(pdf_page(label)?);
    }
    Ok(pdf.finish())
}

/// Renders labels as ZPL, one format after the other.
pub fn zpl(labels: &[ShippingLabel]) -> Result<Vec<u8>, code128::Error> {
    let mut out = Vec::new();
    for label in labels {
        out.extend(zpl_label(label)?);
    }
    Ok(out)
}

const LEFT: f32 = 12.0;
const RIGHT: f32 = 276.0;
const WIDTH: f32 = RIGHT - LEFT;
/// Base lines of the rules that part the label, from the top.
const RULE_SENDER: f32 = 88.0;
const RULE_SERVICE: f32 = 116.0;
const RULE_RECIPIENT: f32 = 252.0;
const RULE_CODE: f32 = 384.0;

fn pdf_page(label: &ShippingLabel) -> Result<Page, code128::Error> {
    let code = Code128::new(&label.tracking_number)?;
    let mut page = Page::new(PageSize::LABEL_4X6);
    page.frame(
        Rect {
            x: 6.0,
            y: 6.0,
            width: 276.0,
            height: 420.0,
        },
        1.0,
    );
    pdf_head(&mut page, label);
    pdf_recipient(&mut page, label);

    page.line((6.0, RULE_RECIPIENT), (282.0, RULE_RECIPIENT), 2.0);
    page.text(LEFT, RULE_RECIPIENT + 13.0, Style::bold(8.0), "TRACKING #");
    let tracking = label.tracking_for_people();
    let size = largest(Font::Bold, 11.0, WIDTH - 58.0, &tracking);
    page.text_right(RIGHT, RULE_RECIPIENT + 14.0, Style::bold(size), &tracking);
    let area = Rect {
        x: LEFT,
        y: RULE_RECIPIENT + 22.0,
        width: WIDTH,
        height: 96.0,
    };
    page.barcode(area, &code);

    page.line((6.0, RULE_CODE), (282.0, RULE_CODE), 2.0);
    let area = Rect {
        x: LEFT,
        y: RULE_CODE + 4.0,
        width: WIDTH,
        height: 36.0,
    };
    let footer = label.footer();
    let footer: Vec<&str> = footer.iter().map(String::as_str).collect();
    page.text_block(area, Style::regular(8.0), &footer);
    Ok(page)
}

fn pdf_head(page: &mut Page, label: &ShippingLabel) {
    page.text(LEFT, 18.0, Style::bold(6.5), "FROM");
    let from = label.from.lines();
    let from: Vec<&str> = from.iter().map(String::as_str).collect();
    let area = Rect {
        x: LEFT,
        y: 21.0,
        width: 168.0,
        height: RULE_SENDER - 25.0,
    };
    page.text_block(area, Style::regular(8.5), &from);

    page.line((186.0, 6.0), (186.0, RULE_SENDER), 1.0);
    let size = largest(Font::Bold, 15.0, 82.0, &label.carrier);
    page.text(192.0, 26.0, Style::bold(size), &label.carrier);
    page.text(192.0, 46.0, Style::regular(6.5), "WEIGHT");
    page.text(192.0, 58.0, Style::bold(11.0), &label.weight());
    page.text(192.0, 69.0, Style::regular(6.5), "PACKAGE");
    page.text(192.0, 81.0, Style::bold(11.0), &label.pieces());

    let area = Rect {
        x: 6.0,
        y: RULE_SENDER,
        width: 276.0,
        height: RULE_SERVICE - RULE_SENDER,
    };
    page.fill(area, 0.0);
    let banner = label.banner();
    let size = largest(Font::Bold, 18.0, WIDTH, &banner);
    page.text(
        LEFT,
        RULE_SENDER + 20.5,
        Style::bold(size).gray(1.0),
        &banner,
    );
}

fn pdf_recipient(page: &mut Page, label: &ShippingLabel) {
    page.text(LEFT, RULE_SERVICE + 13.0, Style::bold(8.0), "SHIP TO");
    let to = &label.to;
    let mut lines = vec![to.name.as_str()];
    lines.extend(to.address_lines.iter().map(String::as_str));
    let area = Rect {
        x: LEFT,
        y: RULE_SERVICE + 18.0,
        width: WIDTH,
        height: 70.0,
    };
    let y = page.text_block(area, Style::regular(13.0), &lines);
    let city = to.city_line();
    let area = Rect {
        x: LEFT,
        y: y + 2.0,
        width: WIDTH,
        height: RULE_RECIPIENT - y - 8.0,
    };
    let mut last = vec![city.as_str(), to.country_code.as_str()];
    if !to.phone.is_empty() {
        last.push(to.phone.as_str());
    }
    page.text_block(area, Style::bold(15.0), &last);
}

/// The largest size up to `size_max` at which a line is no wider than `width_max`.
fn largest(font: Font, size_max: f32, width_max: f32, line: &str) -> f32 {
    let width = text::width(font, size_max, line);
    if width <= width_max {
        size_max
    } else {
        size_max * width_max / width
    }
}

/// Dots of a label of 4 by 6 inches at 203 dots per inch.
const DOTS: (u32, u32) = (812, 1218);

fn zpl_label(label: &ShippingLabel) -> Result<Vec<u8>, code128::Error> {
    let code = Code128::new(&label.tracking_number)?;
    let mut zpl = Zpl::new(DOTS.0, DOTS.1);
    zpl.frame(16, 16, (780, 1186), 3);
    zpl.text(34, 30, 20, "FROM");
    zpl_lines(&mut zpl, (34, 54), (470, 186), 26, &label.from.lines());
    zpl.frame(524, 16, (3, 232), 3);
    zpl_lines(
        &mut zpl,
        (540, 36),
        (240, 44),
        42,
        std::slice::from_ref(&label.carrier),
    );
    zpl.text(540, 104, 20, "WEIGHT");
    zpl.text(540, 126, 34, &label.weight());
    zpl.text(540, 174, 20, "PACKAGE");
    zpl.text(540, 196, 34, &label.pieces());

    zpl.fill(16, 248, (780, 76));
    let banner = label.banner();
    zpl.text_reversed(34, 264, zpl_size(744, 50, &banner), &banner);

    zpl.text(34, 340, 24, "SHIP TO");
    let to = &label.to;
    let mut lines = vec![to.name.clone()];
    lines.extend(to.address_lines.iter().cloned());
    zpl_lines(&mut zpl, (34, 372), (744, 190), 40, &lines);
    let mut last = vec![to.city_line(), to.country_code.clone()];
    last.push(to.phone.clone());
    last.retain(|line| !line.is_empty());
    zpl_lines(&mut zpl, (34, 566), (744, 138), 46, &last);

    zpl.frame(16, 710, (780, 5), 5);
    zpl.text(34, 728, 24, "TRACKING #");
    let tracking = label.tracking_for_people();
    zpl.text(200, 724, zpl_size(578, 32, &tracking), &tracking);
    let modules = u32::try_from(code.modules().len()).unwrap_or(u32::MAX);
    // The widest module that leaves both quiet zones; three dots read best.
    let module = (744 / modules.saturating_add(20)).clamp(1, 3);
    let used = modules.saturating_mul(module);
    let x = 34 + 744_u32.saturating_sub(used) / 2;
    zpl.barcode(x, 774, module, 280, &code);

    zpl.frame(16, 1082, (780, 5), 5);
    zpl_lines(&mut zpl, (34, 1096), (744, 100), 24, &label.footer());
    Ok(zpl.finish())
}

/// The largest height of a line up to `height_max` at which it is no wider than `width` dots.
fn zpl_size(width: u16, height_max: u16, line: &str) -> u32 {
    let fits =
        |height: &u16| text::width(Font::Regular, f32::from(*height), line) <= f32::from(width);
    (10..=height_max).rev().find(fits).unwrap_or(10).into()
}

/// Writes lines below each other inside a box of (width, height) dots at the largest height up to
/// `height_max` that fits. The printer's font is narrower than Helvetica, by which it is measured.
fn zpl_lines(
    zpl: &mut Zpl,
    (x, y): (u32, u32),
    (width, height): (u32, u32),
    height_max: u32,
    lines: &[String],
) {
    let mut size = height_max;
    let wrapped = loop {
        let points = f32::from(u16::try_from(size).unwrap_or(u16::MAX));
        let room = f32::from(u16::try_from(width).unwrap_or(u16::MAX));
        let wrapped: Vec<String> = lines
            .iter()
            .flat_map(|line| text::wrap(Font::Regular, points, room, line))
            .collect();
        let count = u32::try_from(wrapped.len()).unwrap_or(u32::MAX);
        if count.saturating_mul(size + size / 6) <= height + size / 6 || size <= 12 {
            break wrapped;
        }
        size -= 2;
    };
    let mut top = y;
    for line in wrapped {
        zpl.text(x, top, size, &line);
        top += size + size / 6;
    }
}
