//! Renders a pick list with a scannable code per line.

use std::collections::HashMap;

use oms_core::{FulfillmentOrderId, PickListId};
use oms_print::{Code128, Page, PageSize, Pdf, Rect, Style};
use uuid::Uuid;

use super::Document;
use super::get_pick_list::get_pick_list;
use crate::ctx::Ctx;
use crate::domain::picking::{PickLine, PickList};
use crate::error::Error;
use crate::store;

const MARGIN: f32 = 40.0;
const HEAD_HEIGHT: f32 = 96.0;
const ROW_HEIGHT: f32 = 46.0;
const CODE_WIDTH: f32 = 170.0;

/// Answers the pick list as a PDF.
pub(crate) async fn get_pick_list_document(ctx: &Ctx, id: PickListId) -> Result<Document, Error> {
    let list = get_pick_list(ctx, id).await?;
    let mut ids: Vec<Uuid> = list
        .lines
        .iter()
        .map(|line| line.fulfillment_order_id.uuid())
        .collect();
    ids.sort();
    ids.dedup();
    let mut conn = ctx.db.snapshot().await?;
    let orders = store::fulfillment_orders::get_many(&mut conn, &ids).await?;
    // Orders get totes in the order of their age.
    let totes: Totes = (1_usize..)
        .zip(orders)
        .map(|(tote, order)| (order.id, (tote, order.order_number)))
        .collect();
    Ok(Document {
        file_name: format!("pick-list-{id}.pdf"),
        pdf: render(&list, &totes),
    })
}

/// Tote and order number of each fulfillment order.
type Totes = HashMap<FulfillmentOrderId, (usize, String)>;

fn render(list: &PickList, totes: &Totes) -> Vec<u8> {
    let size = PageSize::LETTER;
    let room = size.height - 2.0 * MARGIN - HEAD_HEIGHT;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a dozen rows fit a page"
    )]
    let per_page = ((room / ROW_HEIGHT) as usize).max(1);
    let open: Vec<&PickLine> = list
        .lines
        .iter()
        .filter(|line| line.canceled < line.quantity)
        .collect();
    let pages = open.len().div_ceil(per_page).max(1);
    let mut pdf = Pdf::new(&format!("Pick list {}", list.id));
    for number in 0..pages {
        let mut page = Page::new(size);
        head(
            &mut page,
            size,
            list,
            &format!("Page {} of {pages}", number + 1),
        );
        let rows = open
            .iter()
            .enumerate()
            .skip(number * per_page)
            .take(per_page);
        let mut y = MARGIN + HEAD_HEIGHT;
        for (index, line) in rows {
            row(&mut page, size, y, index + 1, line, totes);
            y += ROW_HEIGHT;
        }
        pdf.push(page);
    }
    pdf.finish()
}

fn head(page: &mut Page, size: PageSize, list: &PickList, number: &str) {
    let right = size.width - MARGIN;
    let (bold, small) = (Style::bold(9.0), Style::regular(9.0));
    page.text(MARGIN, MARGIN + 16.0, Style::bold(18.0), "Pick list");
    page.text(
        MARGIN,
        MARGIN + 34.0,
        small,
        &format!("Location {}", list.location_id),
    );
    let worker = if list.assignee.is_empty() {
        "not assigned"
    } else {
        &list.assignee
    };
    page.text(MARGIN, MARGIN + 48.0, small, &format!("Picker {worker}"));
    page.text_right(right, MARGIN + 60.0, small, number);
    if let Ok(code) = Code128::new(&list.id.to_string()) {
        page.barcode(
            Rect {
                x: right - 300.0,
                y: MARGIN,
                width: 300.0,
                height: 30.0,
            },
            &code,
        );
        page.text_right(right - 8.0, MARGIN + 42.0, Style::regular(8.0), code.text());
    }
    let y = MARGIN + HEAD_HEIGHT - 16.0;
    page.text(MARGIN, y, bold, "#");
    page.text(MARGIN + 24.0, y, bold, "Item");
    page.text(MARGIN + 222.0, y, bold, "Order");
    page.text_right(right - CODE_WIDTH - 14.0, y, bold, "Pick");
    page.text(right - CODE_WIDTH, y, bold, "Scan");
    page.line((MARGIN, y + 6.0), (right, y + 6.0), 1.0);
}

fn row(page: &mut Page, size: PageSize, y: f32, number: usize, line: &PickLine, totes: &Totes) {
    let right = size.width - MARGIN;
    let (bold, small) = (Style::bold(10.0), Style::regular(8.5));
    page.text(MARGIN, y + 12.0, small, &number.to_string());
    page.text(MARGIN + 24.0, y + 12.0, bold, &line.item.sku);
    let name = Rect {
        x: MARGIN + 24.0,
        y: y + 15.0,
        width: 190.0,
        height: 26.0,
    };
    page.text_block(name, small, &[&line.item.name]);
    if let Some((tote, order_number)) = totes.get(&line.fulfillment_order_id) {
        page.text(MARGIN + 222.0, y + 12.0, small, order_number);
        page.text(MARGIN + 222.0, y + 24.0, small, &format!("Tote {tote}"));
    }
    let quantity = (line.quantity - line.canceled).to_string();
    page.text_right(
        right - CODE_WIDTH - 14.0,
        y + 16.0,
        Style::bold(14.0),
        &quantity,
    );
    // A code that cannot be a symbol is printed as text only; the picker types it.
    let code = line.item.printed_code();
    if let Ok(symbol) = Code128::new(code) {
        let area = Rect {
            x: right - CODE_WIDTH,
            y: y + 2.0,
            width: CODE_WIDTH,
            height: 26.0,
        };
        page.barcode(area, &symbol);
    }
    page.text_center(
        right - CODE_WIDTH / 2.0,
        y + 37.0,
        Style::regular(7.5),
        code,
    );
    page.line(
        (MARGIN, y + ROW_HEIGHT - 3.0),
        (right, y + ROW_HEIGHT - 3.0),
        0.25,
    );
}
