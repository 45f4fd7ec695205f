//! Connections are sealed, and the server is known by its certificate.

use std::path::Path;

use oms_testkit::{private_postgres, wait_for};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Has the server write a file into its data directory, as its own user.
async fn write(server: &mut PgConnection, name: &str, text: &str) {
    let lines: Vec<String> = text.lines().map(|line| format!("('{line}')")).collect();
    let copy = format!(
        "COPY (VALUES {}) TO PROGRAM 'umask 077; cat > {name}'",
        lines.join(", ")
    );
    sqlx::raw_sql(AssertSqlSafe(copy))
        .execute(server)
        .await
        .unwrap();
}

/// Whether a connection that wants the server checked against these roots is sealed.
async fn is_sealed(url: &str, roots: &Path) -> Result<bool, sqlx::Error> {
    let url = format!("{url}?sslmode=verify-full&sslrootcert={}", roots.display());
    let mut conn = PgConnection::connect(&url).await?;
    sqlx::query_scalar("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        .fetch_one(&mut conn)
        .await
}

#[tokio::test]
async fn the_server_is_checked_against_the_roots_that_the_address_names() {
    let postgres = private_postgres(false).await;
    let ours = authority();
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![SanType::IpAddress([127, 0, 0, 1].into())];
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &ours).unwrap();

    let mut server = PgConnection::connect(&postgres.url()).await.unwrap();
    write(&mut server, "server.crt", &certificate.pem()).await;
    write(&mut server, "server.key", &key.serialize_pem()).await;
    for sql in ["ALTER SYSTEM SET ssl = on", "SELECT pg_reload_conf()"] {
        sqlx::raw_sql(sql).execute(&mut server).await.unwrap();
    }

    let folder = tempfile::tempdir().unwrap();
    let roots = |name: &str, pem: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, pem).unwrap();
        path
    };
    let known = roots("known.crt", &ours.pem());
    wait_for("the server to speak TLS", || async {
        match is_sealed(&postgres.url(), &known).await {
            Ok(true) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    let strange = roots("strange.crt", &authority().pem());
    let refused = is_sealed(&postgres.url(), &strange).await.unwrap_err();
    assert!(refused.to_string().contains("certificate"), "{refused}");
}
