//! What a reader of the printed documents would miss if it were wrong.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may fail loudly"
)]

use std::fmt::Write as _;

use oms_print::{Code128, Column, Flow, LabelKind, PageSize, Party, ShippingLabel, Style, Table};

fn sample() -> ShippingLabel {
    ShippingLabel {
        kind: LabelKind::Outbound,
        from: Party {
            name: "Columbus Distribution Center".to_owned(),
            address_lines: vec!["4300 Equity Drive".to_owned()],
            locality: "Columbus".to_owned(),
            administrative_area: "OH".to_owned(),
            postal_code: "43228".to_owned(),
            country_code: "US".to_owned(),
            phone: String::new(),
        },
        to: Party {
            name: "Zuschuss Donatelli-Łukasz".to_owned(),
            address_lines: vec!["1280 Market Street (Café)".to_owned(), "Apt 4".to_owned()],
            locality: "San Francisco".to_owned(),
            administrative_area: "CA".to_owned(),
            postal_code: "94109".to_owned(),
            country_code: "US".to_owned(),
            phone: "+1 415 555 0100".to_owned(),
        },
        carrier: "OMS Express".to_owned(),
        service: "GROUND".to_owned(),
        tracking_number: "OM12345678901234567".to_owned(),
        weight_grams: 1275,
        package_number: 1,
        package_count: 2,
        order_number: "WEB-100042".to_owned(),
        references: vec![("Shipment".to_owned(), "0190aaaa-bbbb".to_owned())],
    }
}

/// Every string that the file shows, in order.
fn shown(pdf: &[u8]) -> Vec<String> {
    let mut out = Vec::new();
    for line in pdf.split(|byte| *byte == b'\n') {
        let Some(line) = line.strip_suffix(b" Tj") else {
            continue;
        };
        let bytes = match line {
            [b'(', inner @ .., b')'] => unescape(inner),
            [b'<', inner @ .., b'>'] => inner
                .chunks(2)
                .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
                .collect(),
            other => panic!("unexpected string {other:?}"),
        };
        out.push(bytes.into_iter().map(char::from).collect());
    }
    out
}

fn unescape(inner: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut bytes = inner.iter();
    while let Some(byte) = bytes.next() {
        out.push(if *byte == b'\\' {
            *bytes.next().unwrap()
        } else {
            *byte
        });
    }
    out
}

/// Widths of bars and spaces of the Code 128 characters 0 to 105, from ISO/IEC 15417.
const PATTERNS: &str = "212222 222122 222221 121223 121322 131222 122213 122312 132212 221213 \
    221312 231212 112232 122132 122231 113222 123122 123221 223211 221132 221231 213212 223112 \
    312131 311222 321122 321221 312212 322112 322211 212123 212321 232121 111323 131123 131321 \
    112313 132113 132311 211313 231113 231311 112133 112331 132131 113123 113321 133121 313121 \
    211331 231131 213113 213311 213131 311123 311321 331121 312113 312311 332111 314111 221411 \
    431111 111224 111422 121124 121421 141122 141221 112214 112412 122114 122411 142112 142211 \
    241211 221114 413111 241112 134111 111242 121142 121241 114212 124112 124211 411212 421112 \
    421211 212141 214121 412121 111143 111341 131141 114113 114311 411113 411311 113141 114131 \
    311141 411131 211412 211214 211232";

/// Reads the modules as a scanner does: start, data, check character, stop.
fn decode(modules: &[bool]) -> String {
    let patterns: Vec<&str> = PATTERNS.split_whitespace().collect();
    assert_eq!(patterns.len(), 106);
    let mut widths = String::new();
    let mut run = 1;
    for pair in modules.windows(2) {
        if pair[0] == pair[1] {
            run += 1;
        } else {
            widths.push_str(&run.to_string());
            run = 1;
        }
    }
    widths.push_str(&run.to_string());
    let body = widths.strip_suffix("2331112").expect("stop pattern");
    let codes: Vec<usize> = body
        .as_bytes()
        .chunks(6)
        .map(|chunk| {
            let chunk = str::from_utf8(chunk).unwrap();
            patterns
                .iter()
                .position(|pattern| *pattern == chunk)
                .expect("known pattern")
        })
        .collect();
    let (check, data) = codes.split_last().unwrap();
    let sum: usize = data
        .iter()
        .enumerate()
        .map(|(i, code)| code * i.max(1))
        .sum();
    assert_eq!(sum % 103, *check, "check character");
    let mut set_c = data[0] == 105;
    assert!(set_c || data[0] == 104, "starts in set B or C");
    let mut text = String::new();
    for code in &data[1..] {
        match (set_c, *code) {
            (true, 100) => set_c = false,
            (false, 99) => set_c = true,
            (true, pair @ 0..=99) => write!(text, "{pair:02}").unwrap(),
            (false, other @ 0..=94) => text.push(char::from(u8::try_from(other).unwrap() + 32)),
            other => panic!("unexpected {other:?}"),
        }
    }
    text
}

#[test]
fn symbols_decode_to_their_text() {
    for text in [
        "A",
        "12",
        "123",
        "1234",
        "OM12345678901234567",
        "WEB-100042",
        "1Z999AA10123456784",
        "a1b22c333d4444e55555f666666g",
        "00012345678901234567",
        " !\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~",
    ] {
        let code = Code128::new(text).unwrap();
        assert_eq!(decode(code.modules()), text);
    }
    for seed in 0..2_000_u64 {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let text: String = (0..=seed % 40)
            .map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                let roll = u8::try_from(state >> 33 & 0x7F).unwrap();
                // Mostly digits, since they take the interesting path.
                if roll < 80 {
                    char::from(b'0' + roll % 10)
                } else {
                    char::from(b' ' + roll % 95)
                }
            })
            .collect();
        assert_eq!(decode(Code128::new(&text).unwrap().modules()), text);
    }
}

#[test]
fn a_label_shows_everything() {
    let pdf = oms_print::label::pdf(&[sample()]).unwrap();
    let text = shown(&pdf).join("\n");
    for part in [
        "Columbus Distribution Center",
        "Columbus, OH 43228",
        "Zuschuss Donatelli-Lukasz",
        "1280 Market Street (Café)",
        "Apt 4",
        "San Francisco, CA 94109",
        "US",
        "OMS Express",
        "GROUND",
        "OM12 3456 7890 1234 567",
        "1.275 kg",
        "1 of 2",
        "Order WEB-100042",
        "Shipment 0190aaaa-bbbb",
    ] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
}

#[test]
fn equal_input_gives_equal_bytes() {
    assert_eq!(
        oms_print::label::pdf(&[sample()]),
        oms_print::label::pdf(&[sample()])
    );
    assert_eq!(
        oms_print::label::zpl(&[sample()]),
        oms_print::label::zpl(&[sample()])
    );
}

#[test]
fn a_printer_label_holds_the_symbol_and_the_address() {
    let zpl = String::from_utf8(oms_print::label::zpl(&[sample(), sample()]).unwrap()).unwrap();
    assert_eq!(zpl.matches("^XA").count(), 2);
    assert_eq!(zpl.matches("^XZ").count(), 2);
    for part in [
        "^FDOM12345678901234567^FS",
        "^FDSan Francisco, CA 94109^FS",
        "1280 Market Street (Caf_C3_A9)",
    ] {
        assert!(zpl.contains(part), "{part} is missing in\n{zpl}");
    }
}

#[test]
fn the_longest_legal_address_is_printed_whole() {
    let mut label = sample();
    label.kind = LabelKind::Return;
    label.to.name = "Wolfeschlegelsteinhausenbergerdorff "
        .repeat(3)
        .chars()
        .take(100)
        .collect();
    label.to.address_lines = vec!["Very long street name 123 ".repeat(4).trim().to_owned(); 3];
    label.to.locality = "Llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogoch ".repeat(2);
    label.from.name = "An Extremely Long Warehouse Name ".repeat(3);
    label.references = vec![("Reference".to_owned(), "9".repeat(60)); 3];
    let pdf = oms_print::label::pdf(&[label.clone()]).unwrap();
    let text = shown(&pdf).concat().replace(' ', "");
    for part in label
        .to
        .address_lines
        .iter()
        .chain([&label.to.name, &label.to.locality])
    {
        assert!(
            text.contains(&part.replace(' ', "")),
            "{part} is cut in\n{text}"
        );
    }
    if let Ok(dir) = std::env::var("OMS_PRINT_SAMPLES") {
        std::fs::write(format!("{dir}/long.pdf"), pdf).unwrap();
        std::fs::write(
            format!("{dir}/label.pdf"),
            oms_print::label::pdf(&[sample()]).unwrap(),
        )
        .unwrap();
        std::fs::write(
            format!("{dir}/label.zpl"),
            oms_print::label::zpl(&[sample()]).unwrap(),
        )
        .unwrap();
    }
}

#[test]
fn hostile_text_neither_panics_nor_vanishes() {
    let mut label = sample();
    label.to.name = "名前 😀 )(\\ \u{202E}evil\0".to_owned();
    let text = shown(&oms_print::label::pdf(&[label.clone()]).unwrap()).join("\n");
    assert!(text.contains("?? ? )(\\ evil"), "{text}");
    label.tracking_number = "é".to_owned();
    assert!(oms_print::label::pdf(&[label.clone()]).is_err());
    assert!(oms_print::label::zpl(&[label]).is_err());
}

#[test]
fn a_long_table_repeats_its_head_and_keeps_every_row() {
    let mut flow = Flow::new("Packing slip", "WEB-100042", PageSize::LETTER);
    flow.heading("Packing slip");
    flow.paragraph(Style::regular(9.0), "Thank you for your order.");
    flow.blocks(&[
        (
            "From",
            vec![
                "Columbus Distribution Center".to_owned(),
                "Columbus, OH".to_owned(),
            ],
        ),
        (
            "To",
            vec![
                "Claire Gute".to_owned(),
                "1 Main Street, Henderson KY 42420".to_owned(),
            ],
        ),
    ]);
    flow.barcode(&Code128::new("WEB-100042").unwrap(), 180.0, 36.0);
    let rows = (1..=120)
        .map(|n| vec![format!("SKU-{n:03}"), "Bush Somerset Collection Bookcase, with a name so long that it needs a second line".to_owned(), n.to_string()])
        .collect();
    let columns = vec![
        Column::left("SKU", 2.0),
        Column::left("Item", 5.0),
        Column::right("Quantity", 1.0),
    ];
    flow.table(&Table { columns, rows });
    flow.total(Style::bold(10.0), "Total", "$ 1,234.56");
    let pdf = flow.finish();
    let text = shown(&pdf);
    for n in 1..=120 {
        assert_eq!(
            text.iter()
                .filter(|line| **line == format!("SKU-{n:03}"))
                .count(),
            1
        );
    }
    let pages = text.iter().filter(|line| *line == "Quantity").count();
    assert!(pages > 2, "{pages}");
    assert!(text.contains(&format!("Page {pages} of {pages}")));
    if let Ok(dir) = std::env::var("OMS_PRINT_SAMPLES") {
        std::fs::write(format!("{dir}/slip.pdf"), pdf).unwrap();
    }
}
