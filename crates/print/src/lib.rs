//! PDF and ZPL pages: labels, slips and invoices with scannable codes.
