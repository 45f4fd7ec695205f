//! Where the five databases are.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, PgConnection};

use super::invariant::Database;

/// Code of Postgres for a database that does not exist.
const NO_SUCH_DATABASE: &str = "3D000";

/// The addresses of the five databases, and of the sandbox payment provider's, if it has one.
#[derive(Debug, Clone)]
pub struct Databases {
    services: [PgConnectOptions; 5],
    provider: PgConnectOptions,
}

impl Databases {
    /// `oms_order`, `oms_inventory` and so on, on one server.
    ///
    /// # Errors
    /// When the address cannot be read.
    pub fn on_server(postgres_url: &str) -> anyhow::Result<Self> {
        let server: PgConnectOptions = postgres_url
            .parse()
            .with_context(|| format!("{postgres_url:?} is no address of a Postgres server"))?;
        let of = |database: Database| {
            let name = format!("oms_{}", database.service());
            server.clone().database(&name)
        };
        Ok(Self {
            services: Database::ALL.map(of),
            provider: server.clone().database(oms_sandbox_psp::DATABASE),
        })
    }

    /// One address per database, in the order of [`Database::ALL`], and the payment provider's.
    ///
    /// # Errors
    /// When an address cannot be read.
    pub fn at(urls: [&str; 5], provider: &str) -> anyhow::Result<Self> {
        let mut all = Self::on_server("postgres://localhost")?;
        let options = all.services.iter_mut().chain([&mut all.provider]);
        for (options, url) in options.zip(urls.into_iter().chain([provider])) {
            *options = url
                .parse()
                .with_context(|| format!("{url:?} is no address of a Postgres database"))?;
        }
        Ok(all)
    }

    /// Where the services themselves are told to find them, by `OMS_ORDER__DATABASE__URL` and its like; `None` when one of
    /// these is not set.
    ///
    /// # Errors
    /// When an address cannot be read.
    pub(crate) fn of_environment(
        variable: impl Fn(&str) -> Option<String>,
    ) -> anyhow::Result<Option<Self>> {
        let url = |database: Database| {
            variable(&format!(
                "OMS_{}__DATABASE__URL",
                database.service().to_uppercase()
            ))
        };
        let urls: Option<Vec<String>> = Database::ALL.into_iter().map(url).collect();
        let Some([first, ..]) = urls.as_deref() else {
            return Ok(None);
        };
        // The payment provider's, if there is one, is beside the first.
        let mut all = Self::on_server(first)?;
        for (options, url) in all.services.iter_mut().zip(urls.iter().flatten()) {
            *options = url
                .parse()
                .with_context(|| format!("{url:?} is no address of a Postgres database"))?;
        }
        Ok(Some(all))
    }

    pub(crate) async fn connect(&self, database: Database) -> anyhow::Result<PgConnection> {
        let [order, inventory, fulfillment, shipping, returns] = &self.services;
        let options = match database {
            Database::Order => order,
            Database::Inventory => inventory,
            Database::Fulfillment => fulfillment,
            Database::Shipping => shipping,
            Database::Returns => returns,
        };
        options
            .connect()
            .await
            .with_context(|| format!("cannot reach the database of {}", database.service()))
    }
}

impl Databases {
    /// `None` when the provider has no database on this server.
    pub(super) async fn connect_provider(&self) -> anyhow::Result<Option<PgConnection>> {
        match self.provider.connect().await {
            Ok(conn) => Ok(Some(conn)),
            Err(sqlx::Error::Database(error))
                if error.code().as_deref() == Some(NO_SUCH_DATABASE) =>
            {
                Ok(None)
            }
            Err(error) => Err(error).context("cannot reach the payment provider's database"),
        }
    }
}

/// Address of the private Postgres that `oms up` runs in this folder.
///
/// # Errors
/// When none runs there.
pub(crate) fn of_folder(dir: &Path) -> anyhow::Result<String> {
    let file = dir.join("postgres").join("data").join("postmaster.pid");
    let Ok(text) = fs::read_to_string(&file) else {
        bail!(
            "no Postgres of `oms up` runs in {}: start it, name its folder with --dir, or name a server with \
             --postgres-url",
            dir.display()
        );
    };
    // Written by Postgres: process, data folder, start time, port, and more.
    let mut lines = text.lines();
    let process = lines
        .next()
        .and_then(|line| line.trim().parse::<u32>().ok());
    let port = lines
        .nth(2)
        .and_then(|line| line.trim().parse::<u16>().ok());
    let (Some(process), Some(port)) = (process, port) else {
        bail!("{} cannot be understood", file.display());
    };
    if !oms_engines::is_alive(process) {
        bail!(
            "the Postgres in {} has ended: start it again with `oms up --dir {}`",
            dir.display(),
            dir.display()
        );
    }
    Ok(format!("postgres://postgres@127.0.0.1:{port}/postgres"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn databases_are_found_where_the_services_find_them() {
        let known = |name: &str| {
            let service = name.strip_prefix("OMS_")?.strip_suffix("__DATABASE__URL")?;
            let service = service.to_lowercase();
            Some(format!("postgres://oms@{service}-db:5432/oms_{service}"))
        };
        let found = Databases::of_environment(known).unwrap().unwrap();
        let places = found.services.map(|one| {
            format!(
                "{}/{}",
                one.get_host(),
                one.get_database().unwrap_or_default()
            )
        });
        assert!(
            places.contains(&"returns-db/oms_returns".to_owned()),
            "{places:?}"
        );
        assert!(
            places.contains(&"order-db/oms_order".to_owned()),
            "{places:?}"
        );

        let but_one = |name: &str| known(name).filter(|_| !name.contains("SHIPPING"));
        assert!(Databases::of_environment(but_one).unwrap().is_none());
    }

    #[test]
    fn a_folder_says_where_its_postgres_is_or_why_there_is_none() {
        let dir = std::env::temp_dir().join(format!("oms-verify-{}", std::process::id()));
        let data = dir.join("postgres").join("data");
        fs::create_dir_all(&data).unwrap();
        let said = of_folder(&dir).unwrap_err().to_string();
        assert!(
            said.starts_with("no Postgres of `oms up` runs in"),
            "{said}"
        );

        let running = format!(
            "{}\n/data\n1700000000\n5433\n\n127.0.0.1\n",
            std::process::id()
        );
        fs::write(data.join("postmaster.pid"), running).unwrap();
        assert_eq!(
            of_folder(&dir).unwrap(),
            "postgres://postgres@127.0.0.1:5433/postgres"
        );

        // No process can have this number.
        fs::write(data.join("postmaster.pid"), "4194305\n/data\n1\n5433\n").unwrap();
        let said = of_folder(&dir).unwrap_err().to_string();
        assert!(said.contains("has ended"), "{said}");
        fs::remove_dir_all(&dir).unwrap();
    }
}
