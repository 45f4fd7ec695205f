//! Compiles every file under `proto/` of the repository: messages, clients and servers, the
//! descriptor set, the table of methods with their scopes, the names of events and the reasons of requests.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use prost_reflect::{
    DescriptorPool, Kind, MessageDescriptor, MethodDescriptor, ServiceDescriptor, Value,
};
use protox::Compiler;
use tonic_prost_build::Config;

/// The method option that every RPC must carry.
const SCOPE_OPTION: &str = "oms.common.v1.required_scope";

/// The method option that names the kinds of bounds which the RPC keeps.
const REACH_OPTION: &str = "oms.common.v1.reach";

/// Those kinds.
const REACHES: [&str; 2] = ["location", "channel"];

/// Requests whose text `reason` is one of a few codes. Every other text is what a person wrote, and no matter of the audit log:
/// what is chained cannot be erased.
const CODED: [&str; 5] = [
    "AdjustStockRequest",
    "CancelOrderRequest",
    "MoveStockRequest",
    "ReportShortPickRequest",
    "SetStockRequest",
];

/// Messages that are not shown as they are: src/redacted.rs says what of them is.
const REDACTED: [&str; 2] = [
    ".oms.common.v1.PostalAddress",
    ".oms.order.v1.PaymentMethod",
];

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto");
    // Cargo watches a folder with all that is in it, so new files are seen too.
    println!("cargo::rerun-if-changed={}", root.display());
    let out_dir = PathBuf::from(env::var("OUT_DIR")?);
    let mut files = Vec::new();
    find_protos(&root, &mut files)?;
    files.sort();

    // Source info carries the comments into the generated docs; it stays out of the set that is
    // shipped, which it would more than double.
    let documented = compile(&root, &files, true)?;
    let mut config = Config::new();
    config.enable_type_names();
    // Sorted maps: equal messages have equal bytes, which fingerprints of requests rely on.
    config.btree_map(["."]);
    config.skip_debug(REDACTED);
    tonic_prost_build::configure()
        .include_file("modules.rs")
        .emit_rerun_if_changed(false)
        .compile_fds_with_config(documented.file_descriptor_set(), config)?;

    let plain = compile(&root, &files, false)?;
    fs::write(
        out_dir.join("descriptors.bin"),
        plain.encode_file_descriptor_set(),
    )?;
    let pool = plain.descriptor_pool();
    fs::write(out_dir.join("methods.rs"), methods(&pool)?)?;
    for kind in REACHES {
        let file = out_dir.join(format!("bound_by_{kind}.rs"));
        fs::write(file, bound_by(&pool, kind)?)?;
    }
    fs::write(out_dir.join("event_types.rs"), event_types(&pool)?)?;
    fs::write(out_dir.join("decoders.rs"), decoders(&pool))?;
    fs::write(out_dir.join("mutations.rs"), mutations(&pool)?)?;
    Ok(())
}

fn find_protos(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            find_protos(&path, found)?;
        } else if path
            .extension()
            .is_some_and(|extension| extension == "proto")
        {
            found.push(path);
        }
    }
    Ok(())
}

fn compile(root: &Path, files: &[PathBuf], source_info: bool) -> Result<Compiler> {
    let mut compiler = Compiler::new([root])?;
    compiler
        .include_imports(true)
        .include_source_info(source_info);
    compiler.open_files(files)?;
    Ok(compiler)
}

/// An array of (path, scope), sorted by path. A method without a scope ends the build: nobody could
/// be allowed to call it.
fn methods(pool: &DescriptorPool) -> Result<String> {
    let option = pool
        .get_extension_by_name(SCOPE_OPTION)
        .ok_or_else(|| format!("{SCOPE_OPTION} is not declared"))?;
    let scope_of = |method: &MethodDescriptor| {
        let scope = method
            .options()
            .get_extension(&option)
            .as_str()
            .map(str::to_owned);
        scope.filter(|scope| !scope.is_empty())
    };
    let mut rows = Vec::new();
    for method in pool
        .services()
        .flat_map(|service| service.methods().collect::<Vec<_>>())
    {
        let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
        let scope = scope_of(&method).ok_or_else(|| format!("{path} has no required_scope"))?;
        rows.push((path, scope));
    }
    rows.sort();
    Ok(format!("&{rows:?}"))
}

/// An array of (name of a request message, function that decodes it), for tests that throw bytes at all of them.
fn decoders(pool: &DescriptorPool) -> String {
    let methods = pool
        .services()
        .flat_map(|service| service.methods().collect::<Vec<_>>());
    let inputs: BTreeSet<String> = methods
        .map(|method| method.input().full_name().to_owned())
        .collect();
    let ours = inputs
        .iter()
        .filter_map(|name| Some((name, name.strip_prefix("oms.")?)));
    let rows = ours.map(|(name, path)| {
        let path = path.replace('.', "::");
        format!(
            "(\"{name}\", |bytes| <crate::{path} as prost::Message>::decode(bytes).map(|_| ())),"
        )
    });
    format!("&[{}]", rows.collect::<Vec<_>>().join("\n"))
}

/// An array of the paths of methods that keep bounds of this kind, sorted.
fn bound_by(pool: &DescriptorPool, kind: &str) -> Result<String> {
    let option = pool
        .get_extension_by_name(REACH_OPTION)
        .ok_or_else(|| format!("{REACH_OPTION} is not declared"))?;
    let mut paths = Vec::new();
    let services = pool.services().collect::<Vec<_>>();
    for method in services.iter().flat_map(ServiceDescriptor::methods) {
        let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
        let options = method.options();
        let kinds = options.get_extension(&option);
        let kinds = kinds.as_list().unwrap_or_default();
        let is_unknown = |one: &&Value| one.as_str().is_none_or(|one| !REACHES.contains(&one));
        if let Some(unknown) = kinds.iter().find(is_unknown) {
            return Err(format!("{path}: reach is one of {REACHES:?}, not {unknown:?}").into());
        }
        if kinds.iter().any(|one| one.as_str() == Some(kind)) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(format!("&{paths:?}"))
}

/// `event_type` for the event message of each service, which is a message named `..Event` with a
/// single oneof: the name of the message inside.
fn event_types(pool: &DescriptorPool) -> Result<String> {
    let mut code = String::new();
    for event in pool.all_messages().filter(is_event) {
        let module = module_of(&event);
        let (name, Some(oneof)) = (event.name(), event.oneofs().next()) else {
            continue;
        };
        let variants = format!(
            "{module}::{}::{}",
            snake_case(name),
            pascal_case(oneof.name())
        );
        writeln!(code, "impl {module}::{name} {{")?;
        writeln!(
            code,
            "    /// Name of the event's message, as `Event.type` of the feed says it; empty when unset."
        )?;
        writeln!(code, "    pub fn event_type(&self) -> &'static str {{")?;
        writeln!(code, "        match &self.{} {{", oneof.name())?;
        for field in oneof.fields() {
            let kind = field.kind();
            let message = kind.as_message().ok_or("events are messages")?;
            let variant = pascal_case(field.name());
            writeln!(
                code,
                "            Some({variants}::{variant}(_)) => \"{}\",",
                message.name()
            )?;
        }
        writeln!(code, "            None => \"\",\n        }}\n    }}\n}}")?;
    }
    Ok(code)
}

/// `Mutation` for every request with a request id: the code of the reason that it gives.
fn mutations(pool: &DescriptorPool) -> Result<String> {
    let mut code = String::new();
    let mut coded = BTreeSet::from(CODED);
    for message in pool.all_messages() {
        let is_mutation = message.name().ends_with("Request")
            && message.package_name().starts_with("oms.")
            && message.get_field_by_name("request_id").is_some();
        if !is_mutation {
            continue;
        }
        let reason = message
            .get_field_by_name("reason")
            .filter(|field| !field.is_list() && !field.supports_presence());
        let reason = match reason.map(|field| field.kind()) {
            Some(Kind::String) if coded.remove(message.name()) => "&self.reason",
            // Called by its path: the field has the same name.
            Some(Kind::Enum(_)) => "Self::reason(self).as_str_name()",
            _ => "\"\"",
        };
        let path = module_of(&message);
        let name = message.name();
        writeln!(code, "impl crate::Mutation for {path}::{name} {{")?;
        writeln!(
            code,
            "    fn why(&self) -> &str {{\n        {reason}\n    }}\n}}"
        )?;
    }
    if !coded.is_empty() {
        return Err(format!("no such requests with a text `reason`: {coded:?}").into());
    }
    Ok(code)
}

/// The Rust module of a message's package: `order::v1`.
fn module_of(message: &MessageDescriptor) -> String {
    let file = message.parent_file();
    let package = file.package_name().trim_start_matches("oms.");
    package.replace('.', "::")
}

fn is_event(message: &MessageDescriptor) -> bool {
    let name = message.name();
    message.package_name().starts_with("oms.")
        && name.len() > "Event".len()
        && name.ends_with("Event")
        && message.oneofs().len() == 1
        && message
            .fields()
            .all(|field| field.containing_oneof().is_some())
}

fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for (n, letter) in name.char_indices() {
        if letter.is_ascii_uppercase() && n > 0 {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

fn pascal_case(name: &str) -> String {
    let words = name.split('_').filter_map(|word| word.split_at_checked(1));
    words
        .map(|(first, rest)| first.to_ascii_uppercase() + rest)
        .collect()
}
