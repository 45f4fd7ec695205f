//! A suite with certificates of an authority of the test's own, tokens of `oms dev-token` and keys of `oms api-key`.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use oms::suite::{SERVICES, Suite, SuiteConfig};
use oms_engines::EnginesConfig;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};
use tempfile::TempDir;
use tokio::process::Command;

/// Of 32 bytes, which nobody else uses.
const MASTER_KEY: &str = "k1:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// What callers of the operator's own may do: by their certificates (`test` as the chart says it), and by a role.
const CALLERS: &str = r#"
[auth.callers.watcher]
order = ["EventFeedService/*"]
[auth.callers.test]
order = [
    "OrderService/PlaceOrder", "OrderService/GetOrder", "OrderService/CancelOrder", "PaymentService/ListPayments",
    "ChannelService/ListChannels", "ChannelService/UpsertChannel",
]
inventory = [
    "StockService/BatchGetAvailability", "ReservationService/ListReservations", "LocationService/GetLocation",
    "LocationService/UpsertLocation", "ItemService/BatchGetItems", "ItemService/BatchUpsertItems", "StockService/ReceiveStock",
]
fulfillment = ["FulfillmentOrderService/ListFulfillmentOrders"]
shipping = ["RateService/QuoteRates"]
returns = ["ReturnService/ListReturns"]
[auth.roles]
smoke = [
    "orders.read", "orders.write", "payments.read", "reservations.read", "stock.read", "fulfillment.read", "rates.read",
    "returns.read", "channels.read", "channels.write", "locations.read", "locations.write", "items.read", "items.write", "stock.write",
]
"#;

pub(crate) struct World {
    pub(crate) suite: Suite,
    /// Ports of the services, also of those that a test stops.
    ports: Vec<(&'static str, u16)>,
    folder: TempDir,
}

impl World {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        certificates(folder.path());
        std::fs::write(folder.path().join("pepper"), "p".repeat(32)).unwrap();
        token(folder.path(), "operator", "admin").await;
        token(folder.path(), "reader", "read_only").await;
        token(folder.path(), "smoke", "smoke").await;
        api_key(folder.path()).await;
        let cache = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../.oms/engines");
        let engines = EnginesConfig::throwaway(oms_engines::scratch::create().unwrap(), cache);
        let mut config = SuiteConfig::new(engines);
        config.certificates = Some(folder.path().to_owned());
        config.overrides = overrides(folder.path());
        let suite = Suite::start(config).await.unwrap();
        let services = suite.services.iter();
        Self {
            ports: services.map(|one| (one.name, one.addr.port())).collect(),
            suite,
            folder,
        }
    }

    /// A file of the folder: `ca.crt`, `NAME.crt` and `NAME.key` per service, of `watcher` and of `test`, `other-ca.crt`, `NAME.token`, `api.key`.
    pub(crate) fn file(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// The text of such a file.
    pub(crate) fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.file(name)).unwrap()
    }

    /// `https://127.0.0.1:PORT` of a service.
    pub(crate) fn url(&self, service: &str) -> String {
        let (_, port) = self
            .ports
            .iter()
            .find(|(name, _)| *name == service)
            .unwrap();
        format!("https://127.0.0.1:{port}")
    }

    /// What the command says until it ends.
    pub(crate) async fn run(&self, arguments: &[&str], env: &[(&str, &str)]) -> Said {
        let mut command = oms(arguments);
        command.envs(env.iter().copied());
        let output = command.output().await.unwrap();
        Said {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// What a command said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

fn oms(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oms"));
    command
        .args(arguments)
        .env_remove("OMS_TOKEN")
        .env_remove("OMS_API_KEY")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

async fn output(arguments: &[&str]) -> String {
    let output = oms(arguments).output().await.unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

async fn token(folder: &Path, name: &str, role: &str) {
    let dir = folder.join("issuer").display().to_string();
    let principal = format!("user:{name}");
    let arguments = ["dev-token", "--dir", &dir, "--principal", &principal];
    let token = output(&[&arguments[..], &["--role", role]].concat()).await;
    std::fs::write(folder.join(format!("{name}.token")), token).unwrap();
}

/// Of a connector that sees everything: the key, and the servers' list of keys.
async fn api_key(folder: &Path) {
    let pepper = folder.join("pepper").display().to_string();
    let grant = ["--principal", "partner:shop", "--role", "connector"];
    let reach = ["--location", "*", "--channel", "*"];
    let arguments = ["api-key", "new", "--pepper-file", &pepper];
    let said = output(&[&arguments[..], &grant, &reach].concat()).await;
    let (key, entry) = said.split_once('\n').unwrap();
    std::fs::write(folder.join("api.key"), key).unwrap();
    std::fs::write(folder.join("keys.toml"), entry).unwrap();
}

fn certificates(folder: &Path) {
    let (ours, other) = (authority(), authority());
    std::fs::write(folder.join("ca.crt"), ours.pem()).unwrap();
    std::fs::write(folder.join("other-ca.crt"), other.pem()).unwrap();
    let services = SERVICES.iter().map(|(name, _)| *name);
    for name in services.chain(["watcher", "test"]) {
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let uri = format!("spiffe://oms/{name}").try_into().unwrap();
        params.subject_alt_names.push(SanType::URI(uri));
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &ours).unwrap().pem();
        std::fs::write(folder.join(format!("{name}.crt")), certificate).unwrap();
        std::fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn overrides(folder: &Path) -> Vec<(&'static str, String)> {
    let folder = folder.display();
    let auth = format!(
        "[auth.jwt]\nissuer = \"oms-dev\"\naudience = \"oms\"\njwks_file = \"{folder}/issuer/jwks.json\"\n\
         [auth.api_keys]\nfile = \"{folder}/keys.toml\"\npepper_file = \"{folder}/pepper\"\n{CALLERS}"
    );
    let privacy = format!("[privacy]\nmaster_keys = \"{MASTER_KEY}\"\n");
    let services = SERVICES.iter().map(|(name, _)| (*name, auth.clone()));
    services.chain([("order", privacy)]).collect()
}
