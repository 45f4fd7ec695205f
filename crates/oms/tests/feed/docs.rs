//! The page about events ends with what the contract says of each.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use oms::suite::SERVICES;
use prost_reflect::{DescriptorPool, FieldDescriptor, Kind, MessageDescriptor};
use protox::Compiler;

const PAGE: &str = "../../docs/events.md";
const MARK: &str =
    "<!-- What follows is made from proto/: UPDATE_DOCS=1 cargo test -p oms --test feed docs -->\n";

fn path(of: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(of)
}

/// The contract with its comments, which the one that programs carry leaves out.
fn contract() -> DescriptorPool {
    let root = path("../../proto");
    let mut compiler = Compiler::new([&root]).unwrap();
    compiler.include_imports(true).include_source_info(true);
    for (service, _) in SERVICES {
        let file = format!("oms/{service}/v1/{service}_events.proto");
        compiler.open_file(root.join(file)).unwrap();
    }
    compiler.descriptor_pool()
}

/// The comment before a message or field, in one line.
fn comment(file: &prost_reflect::FileDescriptor, path: &[i32]) -> String {
    let info = file.file_descriptor_proto().source_code_info.as_ref();
    let location = info.unwrap().location.iter().find(|one| one.path == path);
    let text = location.map_or("", |one| one.leading_comments());
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").replace('|', "\\|")
}

/// The option `aggregate` of a message.
fn aggregate(pool: &DescriptorPool, message: &MessageDescriptor) -> String {
    let option = pool.get_extension_by_name("oms.common.v1.aggregate");
    let options = message.options();
    let value = options.get_extension(&option.unwrap());
    value.as_str().unwrap_or_default().to_owned()
}

fn type_of(field: &FieldDescriptor) -> String {
    let named = |name: &str, file: prost_reflect::FileDescriptor| {
        let short = name.rsplit('.').next().unwrap_or(name).to_owned();
        let is_ours = file.name().starts_with("oms/");
        let is_here = file.name().ends_with("_events.proto");
        match (is_ours, is_here) {
            (true, false) => format!("[{short}](../proto/{})", file.name()),
            (true, true) => format!("`{short}`"),
            (false, _) => format!("`{name}`"),
        }
    };
    let kind = match field.kind() {
        Kind::Message(message) => named(message.full_name(), message.parent_file()),
        Kind::Enum(one) => named(one.full_name(), one.parent_file()),
        scalar => format!("`{scalar:?}`"),
    };
    if field.is_list() {
        format!("list of {kind}")
    } else {
        kind
    }
}

fn fields(page: &mut String, message: &MessageDescriptor) {
    let file = message.parent_file();
    page.push_str("\n| field | type | meaning |\n|---|---|---|\n");
    for field in message.fields() {
        let meaning = comment(&file, field.path());
        let (name, kind) = (field.name(), type_of(&field));
        writeln!(page, "| `{name}` | {kind} | {meaning} |").unwrap();
    }
}

/// Every event of a service, then what its file has besides.
fn service(page: &mut String, pool: &DescriptorPool, name: &str) {
    let file = pool.get_file_by_name(&format!("oms/{name}/v1/{name}_events.proto"));
    let file = file.unwrap();
    let mut messages = file.messages();
    let payload = messages.next().expect("the first message holds the events");
    let of_all = aggregate(pool, &payload);
    let holder = payload.full_name();
    writeln!(page, "\n## {name}\n\nThe payload is `{holder}`.").unwrap();
    let mut events = Vec::new();
    for choice in payload.fields() {
        let event = choice.kind().as_message().unwrap().clone();
        let own = aggregate(pool, &event);
        let aggregate = if own.is_empty() { &of_all } else { &own };
        assert!(
            !aggregate.is_empty(),
            "{} has no option (oms.common.v1.aggregate)",
            event.full_name()
        );
        let mut when = comment(&file, event.path());
        let more = comment(&file, choice.path());
        if more.len() > when.len() && !more.starts_with("Aggregate") {
            when = format!("{when} {more}");
        }
        let title = event.name();
        writeln!(page, "\n### {title}\n{when} Aggregate `{aggregate}`.").unwrap();
        fields(page, &event);
        events.push(event);
    }
    for part in messages.filter(|message| !events.contains(message)) {
        let says = comment(&file, part.path());
        writeln!(page, "\n### {}, a part of events\n{says}", part.name()).unwrap();
        fields(page, &part);
    }
    for one in file.enums() {
        let says = comment(&file, one.path());
        writeln!(page, "\n### {}, values\n{says}", one.name()).unwrap();
        page.push_str("\n| value | meaning |\n|---|---|\n");
        for value in one.values() {
            let meaning = comment(&file, value.path());
            writeln!(page, "| `{}` | {meaning} |", value.name()).unwrap();
        }
    }
}

#[test]
fn docs_list_every_event() {
    let pool = contract();
    let mut list = String::new();
    for (name, _) in SERVICES {
        service(&mut list, &pool, name);
    }
    let path = path(PAGE);
    let stored = fs::read_to_string(&path).unwrap_or_default();
    let (by_hand, _) = stored.split_once(MARK).unwrap_or((&stored, ""));
    let page = format!("{by_hand}{MARK}{list}");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &page).unwrap();
        return;
    }
    assert!(
        stored == page,
        "docs/events.md is not what proto/ says: UPDATE_DOCS=1 cargo test -p oms --test feed docs"
    );
}
