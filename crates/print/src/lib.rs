//! PDF and ZPL pages: labels, slips and invoices with scannable codes.
//!
//! - [`pdf`] draws on pages whose origin is the top left corner, measured in points (1/72 inch).
//! - [`flow`] lays out documents that run over several pages: headings, paragraphs, tables.
//! - [`code128`] turns text into the bars of a Code 128 symbol.
//! - [`zpl`] writes the language of label printers (203 dots per inch).
//! - [`label`] is a shipping label of 4 by 6 inches in both forms.
//! - [`text`] fits any Unicode text to what the built-in fonts can show.
//!
//! Nothing here reads a clock or a random source: equal input gives equal bytes, so a document may
//! be rendered again whenever it is asked for instead of being stored.

pub mod code128;
pub mod flow;
pub mod label;
mod metrics;
pub mod pdf;
pub mod text;
pub mod zpl;

pub use code128::Code128;
pub use flow::{Align, Column, Flow, Table};
pub use label::{LabelKind, Party, ShippingLabel};
pub use metrics::Font;
pub use pdf::{Page, PageSize, Pdf, Rect, Style};
pub use zpl::Zpl;
