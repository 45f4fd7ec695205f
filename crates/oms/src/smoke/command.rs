//! The command line of `oms smoke`.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use oms_service::PeerConfig;

use super::{Plan, run};
use crate::clients::Clients;
use crate::connection::ConnectionArgs;

/// Exit code when a step failed and nothing was left behind.
const EXIT_FAILED: u8 = 2;
/// Exit code when a step failed and the order could not be closed.
const EXIT_LEFT_OPEN: u8 = 3;

#[derive(Debug, Args)]
pub(crate) struct SmokeArgs {
    /// Make the channel, the location, the item and a free unit of stock, where they are missing.
    #[arg(long)]
    prepare: bool,
    /// Channel of the order.
    #[arg(long, default_value = "smoke", value_name = "ID")]
    channel: String,
    /// What is ordered, one unit.
    #[arg(long, default_value = "smoke", value_name = "SKU")]
    sku: String,
    /// Where the unit is.
    #[arg(long, default_value = "smoke", value_name = "ID")]
    location: String,
    /// Currency of the channel.
    #[arg(long, default_value = "USD", value_name = "CODE")]
    currency: String,
    /// Payment provider; the amount is 1.00 in most currencies, authorized and then voided.
    #[arg(long, default_value = "sandbox", value_name = "NAME")]
    provider: String,
    /// The provider's token of a payment method, never a card number.
    #[arg(long, default_value = "tok_approve", value_name = "TOKEN")]
    payment_token: String,
    /// Longest wait of each step in seconds.
    #[arg(long, default_value_t = 60, value_name = "S", value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    addresses: AddressArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Where the services are.
#[derive(Debug, Args)]
#[command(next_help_heading = "Addresses")]
struct AddressArgs {
    /// Address of the order service.
    #[arg(long, default_value = "http://127.0.0.1:7001", value_name = "URL")]
    order: String,
    /// Address of the inventory service.
    #[arg(long, default_value = "http://127.0.0.1:7002", value_name = "URL")]
    inventory: String,
    /// Address of the fulfillment service.
    #[arg(long, default_value = "http://127.0.0.1:7003", value_name = "URL")]
    fulfillment: String,
    /// Address of the shipping service.
    #[arg(long, default_value = "http://127.0.0.1:7004", value_name = "URL")]
    shipping: String,
    /// Address of the returns service.
    #[arg(long, default_value = "http://127.0.0.1:7005", value_name = "URL")]
    returns: String,
}

impl AddressArgs {
    fn of(&self, service: &str) -> &str {
        match service {
            "order" => &self.order,
            "inventory" => &self.inventory,
            "fulfillment" => &self.fulfillment,
            "shipping" => &self.shipping,
            _ => &self.returns,
        }
    }
}

/// `oms smoke`.
#[expect(clippy::print_stdout, reason = "the report is the command's result")]
pub(crate) async fn command(args: &SmokeArgs) -> anyhow::Result<ExitCode> {
    let at = &args.addresses;
    let addresses = crate::suite::SERVICES.map(|(service, _)| at.of(service));
    let credentials = args.connection.credentials(&addresses)?;
    let peer = |service: &str| Ok(PeerConfig::new(at.of(service)));
    let clients = Clients::connect_as(&credentials, peer, "user:smoke")?;
    let plan = Plan {
        channel_id: args.channel.clone(),
        sku: args.sku.clone(),
        location_id: args.location.clone(),
        currency_code: args.currency.clone(),
        provider: args.provider.clone(),
        payment_token: args.payment_token.clone(),
        prepare: args.prepare,
        patience: Duration::from_secs(args.timeout),
    };
    let report = Box::pin(run(&clients, &plan)).await;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        println!("{}", report.table());
        println!("{}", report.verdict());
    }
    Ok(match (report.passed, &report.left_open) {
        (true, _) => ExitCode::SUCCESS,
        (false, None) => ExitCode::from(EXIT_FAILED),
        (false, Some(_)) => ExitCode::from(EXIT_LEFT_OPEN),
    })
}
